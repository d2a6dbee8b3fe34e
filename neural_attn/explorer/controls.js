// The controls above the views: they show the state and change it.

import { byId, el, isDark, slideTo } from "./dom.js";
import { KINDS, KINDS_SHORT, roundedUp } from "./scene.js";
import { VIEWS } from "./state.js";
import { readTokens } from "./transform.js";
import { writtenOf } from "./steps.js";

/** Options of a `select`, made only where `key` says that they are others. */
function setOptions(select, key, make) {
  if (select.dataset.key === key) return;
  select.dataset.key = key;
  select.replaceChildren(...make().map(([value, text]) => el("option", { value, textContent: text })));
}

/** Setting a long list makes the browser walk through it, also to where it stands. */
function choose(select, value) {
  if (select.value !== String(value)) select.value = value;
}

// The width below which explorer.css has a telephone's layout.
const narrow = matchMedia("(max-width: 700px)");

export function showControls(scene) {
  const { state, header, source, map } = scene;
  byId("source-field").hidden = header.sources.length < 2;
  const at = `${state.source},${state.map}`;
  setOptions(byId("source"), "all", () => header.sources.map((one, i) => [i, one.label]));
  choose(byId("source"), state.source);
  byId("example-field").hidden = map.examples.length < 2;
  setOptions(byId("example"), at, () => map.examples.map((_, i) => [i, exampleName(scene, i)]));
  choose(byId("example"), state.example);
  setOptions(byId("layer"), `${state.source},${narrow.matches}`, () => source.maps.map((one, i) => [i, layerName(source, one)]));
  choose(byId("layer"), state.map);
  setOptions(byId("head"), at, () => map.heads.map((number, i) => [i, String(number)]));
  choose(byId("head"), state.head);
  const { queryText, example } = scene.about();
  const label = (_, p) => [p, `${p} ${queryText.shown[example.query_start + p]}`.slice(0, 60)];
  setOptions(byId("query"), `${example.query_text},${example.query_start},${example.rows}`,
    () => [[-1, "none"], ...Array.from({ length: example.rows }, label)]);
  choose(byId("query"), scene.query);
  byId("query").options[0].disabled = scene.query !== state.query;
  byId("pair-field").hidden = !scene.segments();
  for (const name of ["pair", "scale", "palette"]) choose(byId(name), state[name]);
  choose(byId("unit"), scene.options().unit);
  for (const name of ["special", "sinks", "renormalize"]) byId(name).checked = state[name];
  const units = scene.reducedUnits(scene.about());
  for (const name of ["pair", "special", "sinks", "renormalize"]) byId(name).disabled = units !== null;
  if (map.rows) byId("sinks").disabled = true;
  if (map.rows === "signed") byId("renormalize").disabled = true;
  for (const option of byId("unit").options) option.disabled = units !== null && option.value !== "token" && !units[option.value];
  let chosen = null;
  for (const view of VIEWS) {
    const tab = byId(`tab-${view}`);
    tab.hidden = (view === "compare" && header.sources.length < 2)
      || (view === "image" && example.picture === undefined)
      || (view === "steps" && !writtenOf(source, state.example)?.steps.length);
    if (view === state.view && tab.getAttribute("aria-selected") !== "true") chosen = tab;
    tab.setAttribute("aria-selected", String(view === state.view));
    tab.tabIndex = view === state.view ? 0 : -1;
    byId(`panel-${view}`).classList.toggle("shown", view === state.view);
  }
  if (chosen) slideTo(chosen);
  byId("panels").classList.toggle("split", state.view !== "model");
}

function exampleName(scene, number) {
  const entry = scene.map.examples[number];
  const text = scene.header.texts[entry.query_text];
  const first = Array.from({ length: Math.min(12, entry.rows) }, (_, i) => entry.query_start + i);
  return `${number}: ${readTokens(text, first.filter((p) => !text.special[p]))}`.slice(0, 48);
}

function layerName(source, map) {
  const parts = source.maps.filter((other) => other.layer === map.layer);
  if (narrow.matches) return parts.length > 1 ? `${map.layer} ${KINDS_SHORT[map.kind]}` : String(map.layer);
  return parts.length > 1 ? `${map.layer} · ${KINDS[map.kind]}` : `${map.layer} · ${map.name}`;
}

/** What rows promise that do not sum to 1, and what that means for the numbers. */
const PROMISES = {
  parts: "Rows sum to at most 1. Metrics are those of each row divided by its sum, except weight … and effective rank.",
  gates: "Rows sum to anything. Metrics are those of each row divided by its sum, except weight … and effective rank.",
  signed: "Signed weights: blue above 0, orange below. They are not shares of attention: metrics are not defined (–), except weight … and effective rank.",
};

/** Views that show what the network computed, whatever is hidden in others. */
const OWN_WEIGHTS = {
  image: "This view has the network's own weights", steps: "This view has the network's own weights",
  measures: "Metrics are those of the network's own weights",
};

/** How far weights may be off, as a share of what is left of their row, without a note. */
const MOST_OFF = 0.02;

const percentOf = (bound) => `up to ${bound < 0.1 ? roundedUp(100 * bound) : Math.min(Math.ceil(100 * bound), 100)} %`;

/** How exact the page is: of a view where something is hidden, what is left of it. */
export function precisionOf(scene, view) {
  const { payload, state, header } = scene;
  const { shares, bound } = payload.precision(state.source, state.map);
  const made = `${header.generator}.`;
  if (!shares.length) return `Weights are float32, as they were computed. ${made}`;
  const shown = OWN_WEIGHTS[state.view] ? null : scene.shownBound(view);
  if (shown === null) return `Weights are stored in 8 bits: none is off by more than ${(100 * bound).toFixed(2)} % of its row's maximum, which is exact. ${made}`;
  return `Weights are stored in 8 bits. As this head is shown, a weight may be off by ${percentOf(shown)} of the sum of its row. ${made}`;
}

/** What the reader must know to read the picture right. */
export function notesOf(scene, view) {
  const { state, source, header } = scene;
  const about = scene.about();
  const { example } = about;
  const notes = [];
  if (source.trained === false) notes.push(["Untrained (random) weights: this attention means nothing. Colours go from 0 to 1.", true]);
  notes.push(...header.notes.map((note) => [note]));
  if (header.sources.length > 1) notes.push([`Model: ${source.label}.`]);
  if (about.whole.rows) notes.push([PROMISES[about.whole.rows]]);
  const { unit, special, sinks, pair, renormalize } = scene.options();
  const units = scene.reducedUnits(about);
  if (units) notes.push(reducedNote(scene, about, units, unit));
  else if (example.form === "reduced") notes.push(["This head is kept in full; others of this long text are reduced."]);
  const own = OWN_WEIGHTS[state.view];
  if (own) return scene.isWhole() ? notes : [...notes, [`${own}: nothing is hidden, grouped or renormalized.`]];
  if (view && !view.values.length) notes.push(["No tokens are left to show: all are hidden.", true]);
  const some = [about.queryText, about.keyText].some((text) => text.special.includes(1));
  if (special) notes.push([some ? "Special tokens are hidden." : "There are no special tokens to hide."]);
  if (sinks) {
    const names = (view?.sinks ?? []).map((p) => about.keyText.shown[example.key_start + p]);
    if (state.view === "model") notes.push(["Each head's own sinks are hidden."]);
    else notes.push([names.length ? `Hidden as sinks of this head: ${names.slice(0, 6).join(", ")}.` : "No key of this head is a sink."]);
  }
  if (pair !== "all") notes.push([`Only sentence ${pair[0]} to sentence ${pair[1]}.`]);
  if (unit !== "token") notes.push([`By ${unit}: mean over its queries, sum over its keys.`]);
  if (renormalize) notes.push(["Rows are renormalized to sum to 1: these are not the network's own weights."]);
  const bound = scene.shownBound(view);
  if (bound > MOST_OFF) {
    const finer = header.precision.name === "compact" ? "fine" : "full";
    notes.push([`Little is left of some rows of this head: what is shown of them may be off by ${percentOf(bound)}, as weights are stored in steps. A page made with --precision ${finer} has finer ones.`, true]);
  }
  return notes;
}

/** What is missing of a head that is too long to be kept in full. */
function reducedNote({ map }, { example }, units, unit) {
  if (unit !== "token") return [`Reduced by token; by ${unit} nothing is left out.`];
  const rows = example.exact_rows.length ? `; queries ${example.exact_rows.join(", ")} are exact` : "";
  const heads = Object.keys(example.exact_heads).map((head) => map.heads[head]);
  const exact = heads.length ? `; head ${heads.join(", ")} is kept in full` : "";
  const off = [units.word ? "" : "words, ", units.sentence ? "" : "sentences, "].join("");
  return [`Reduced: each cell shows the greatest weight of ${example.tile} × ${example.tile}; the ${example.links} strongest keys of every query are exact${rows}${exact}. Off, as they need every weight: ${off}hiding and renormalizing.`, true];
}

export function showNotes(scene, view) {
  const notes = notesOf(scene, view);
  scene.notes = notes.map(([text]) => text);
  byId("notes").replaceChildren(...notes.map(([text, warning]) => el("p", { className: `note${warning ? " warning" : ""}`, textContent: text })));
}

/** Connect every control. @param {{announce: (text: string) => void}} page */
export function listenToControls(scene, exporter, { announce, search, link, redraw }) {
  const { store } = scene;
  const numbers = { source: "source", example: "example", layer: "map", head: "head", query: "query" };
  for (const [id, name] of Object.entries(numbers)) {
    byId(id).onchange = (event) => store.set({ [name]: Number(event.target.value) });
  }
  for (const id of ["unit", "pair", "scale", "palette"]) {
    byId(id).onchange = (event) => store.set({ [id]: event.target.value });
  }
  for (const id of ["special", "sinks", "renormalize"]) {
    byId(id).onchange = (event) => store.set({ [id]: event.target.checked });
  }
  const stepHead = (by) => () => {
    const { length } = scene.map.heads;
    store.set({ head: (scene.state.head + by + length) % length });
  };
  byId("head-before").onclick = stepHead(-1);
  byId("head-after").onclick = stepHead(1);
  for (const view of VIEWS) byId(`tab-${view}`).onclick = () => store.set({ view });
  for (const kind of ["png", "svg", "csv"]) {
    byId(`save-${kind}`).addEventListener("click", async () => {
      try {
        announce(await exporter.save(kind));
      } catch (error) {
        announce(`Could not save: ${error.message}`);
      }
    });
  }
  byId("copy-link").onclick = link;
  byId("more").onclick = ({ currentTarget }) => {
    const folded = !byId("rare").hidden;
    byId("rare").hidden = folded;
    byId("above").classList.toggle("unfolded", !folded);
    currentTarget.setAttribute("aria-expanded", String(!folded));
  };
  byId("search").addEventListener("input", () => search(0));
  const { dataset } = document.documentElement;
  const showTheme = () => { byId("theme").textContent = `Theme: ${dataset.theme ?? "system"}`; };
  showTheme();
  byId("theme").addEventListener("click", () => {
    dataset.theme = isDark() ? "light" : "dark";
    showTheme();
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  narrow.addEventListener("change", () => showControls(scene));
}
