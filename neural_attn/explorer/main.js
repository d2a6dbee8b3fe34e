// Puts the page together: one state, every view shows it.

import { listenToParent } from "./embed.js";
import { byId } from "./dom.js";
import { Payload } from "./payload.js";
import { clampState, DEFAULTS, fromHash, opening, Store, toHash } from "./state.js";
import { Scene } from "./scene.js";
import { ModelView } from "./model.js";
import { MatrixView } from "./matrix.js";
import { HeadView } from "./head.js";
import { TokenView } from "./token.js";
import { MeasuresView } from "./measures.js";
import { CompareView } from "./compare.js";
import { ImageView } from "./image.js";
import { StepsView } from "./steps.js";
import { Cards } from "./cards.js";
import { ReadingView } from "./reading.js";
import { dataTable, matrixTables } from "./table.js";
import { Exporter } from "./export.js";
import { listenToKeys } from "./keyboard.js";
import { listenToControls, precisionOf, showControls, showNotes } from "./controls.js";

const count = (number, one) => `${number} ${one}${number === 1 ? "" : "s"}`;

const announce = (text) => { byId("announce").textContent = text; };

/** What the page holds, in a line. */
function describe(scene) {
  const { source, map } = scene;
  const layers = new Set(source.maps.map((one) => one.layer)).size;
  const { rows, columns } = scene.about().example;
  const tokens = rows === columns ? `${rows} tokens` : `${rows} queries × ${columns} keys`;
  const backend = source.backend ? ` · ${source.backend}` : "";
  const causal = map.causal ? " · causal" : "";
  byId("about").textContent = `${count(layers, "layer")} · ${count(map.heads.length, "head")} · ${tokens}${causal}${backend}`;
}

/** Positions whose token holds the text, of queries and of keys. */
export function findTokens(scene, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return null;
  const { example, queryText, keyText } = scene.about();
  const search = (from, start, length) => {
    const found = new Set();
    for (let p = 0; p < length; p++) {
      const at = start + p;
      if (from.shown[at].toLowerCase().includes(wanted) || from.tokens[at].toLowerCase().includes(wanted)) found.add(p);
    }
    return found;
  };
  return {
    rows: search(queryText, example.query_start, example.rows),
    columns: search(keyText, example.key_start, example.columns),
  };
}

function start() {
  const payload = new Payload(document);
  const { header } = payload;
  const store = new Store(clampState({ ...DEFAULTS, ...header.shows, ...opening(header, location.hash), ...fromHash(location.hash, header) }, header));
  const scene = new Scene(payload, store);
  const panel = (name) => byId(`panel-${name}`);
  const views = {
    model: new ModelView(scene, panel("model")), matrix: new MatrixView(scene, panel("matrix")),
    head: new HeadView(scene, panel("head")), token: new TokenView(scene, panel("token")),
    measures: new MeasuresView(scene, panel("measures")), compare: new CompareView(scene, panel("compare")),
    image: new ImageView(scene, panel("image")), steps: new StepsView(scene, panel("steps")),
  };
  const cards = new Cards(scene, views.model);
  const reading = new ReadingView(scene, byId("reading"));
  const exporter = new Exporter(scene, views);
  const tables = ["matrix", "head"].map((name) => {
    const table = dataTable(() => {
      const view = views.matrix.view;
      return view ? matrixTables(view, scene.queryGroup(view)) : [];
    });
    views[name].table.replaceChildren(table.element);
    return table;
  });

  const show = async (state, changed) => {
    const fitting = clampState(state, header);
    if (Object.keys(fitting).some((name) => name !== "others" && fitting[name] !== state[name])) {
      store.set(fitting);
      return;
    }
    remember();
    showControls(scene);
    describe(scene);
    cards.show();
    try {
      // The chosen head first: thumbnails take their turn after it.
      const current = views[state.view];
      if (state.view !== "model") await current.show(state, changed);
      const view = await scene.view();
      views.matrix.take(view); // for the tables of other views, and for when it is shown
      showNotes(scene, view);
      byId("precision").textContent = precisionOf(scene, view);
      reading.show(view, state);
      for (const table of tables) table.refresh();
      views.model.show(state, changed);
    } catch (error) {
      announce("");
      byId("about").textContent = `This page is damaged: ${error.message}`;
      throw error;
    }
    if (changed) announce(`${scene.headName()}, ${state.view}`);
  };
  // Changing the address takes as long as drawing: it waits until the eye has its picture.
  let later = 0;
  const remember = () => {
    clearTimeout(later);
    later = setTimeout(remembered, 150);
  };
  const remembered = () => {
    const { state } = store;
    try {
      history.replaceState(null, "", toHash(state, header));
    } catch (error) {
      // A frame without an address of its own, as in a notebook, has none to change.
      if (error.name !== "SecurityError") throw error;
    }
  };
  store.listeners.push(show);
  listenToParent(store, header);
  const search = (by) => {
    scene.found = findTokens(scene, byId("search").value);
    const rows = scene.found ? [...scene.found.rows] : [];
    byId("found").textContent = scene.found ? `${rows.length} of the queries` : "";
    if (by && rows.length) {
      const next = by > 0 ? rows.find((p) => p > store.state.query) : rows.findLast((p) => p < store.state.query);
      store.set({ query: next ?? (by > 0 ? rows[0] : rows[rows.length - 1]) });
    }
    views.matrix.redraw();
    views.head.redraw();
  };
  const link = async () => {
    const here = location.href.startsWith("about:") ? "" : location.href.split("#")[0];
    const address = here + toHash(store.state, header);
    try {
      await navigator.clipboard.writeText(address);
      announce("Link copied");
      byId("found").textContent = "Link copied";
    } catch {
      byId("found").textContent = address.slice(address.indexOf("#"));
    }
  };
  const redraw = () => show(store.state, new Set(["theme"]));
  listenToControls(scene, exporter, { announce, search, link, redraw });
  listenToKeys(scene, views, { search });
  window.addEventListener("hashchange", () => store.set(fromHash(location.hash, header)));
  window.addEventListener("resize", () => views.model.resize());
  document.documentElement.explorer = { scene, views, exporter };
  show(store.state, null);
}

if (typeof document !== "undefined") start();
