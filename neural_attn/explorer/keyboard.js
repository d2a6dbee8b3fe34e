// Everything can be reached with keys.

import { byId, el } from "./dom.js";
import { VIEWS } from "./state.js";

export const KEYS = [
  ["← →", "previous, next head"],
  ["↑ ↓", "previous, next layer"],
  ["Shift + ↑ ↓", "previous, next query"],
  ["Shift + ← →", "previous, next key"],
  ["1 – 8", "all heads, matrix, lines, token, metrics, compare, image, writing"],
  ["← →", "in the generation: previous, next token"],
  ["+ − 0", "zoom the matrix in, out, fit"],
  ["/", "search a token; Enter goes to the next"],
  ["Esc", "release query and key"],
  ["?", "these keys"],
];

/** The state after a step; positions stay within what there is. */
export function step(scene, key, shift) {
  const { state, source } = scene;
  const { example } = scene.about();
  const by = key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1;
  const across = key === "ArrowLeft" || key === "ArrowRight";
  const within = (value, length) => Math.min(Math.max(value, 0), length - 1);
  if (shift && across) return { key: within(state.key + by, example.columns) };
  if (shift) return { query: within(scene.query + by, example.rows) };
  if (across) return { head: within(state.head + by, source.maps[state.map].heads.length) };
  const map = within(state.map + by, source.maps.length);
  return { map, head: within(state.head, source.maps[map].heads.length) };
}

/** Whether keys belong to a control that is being used. */
function isTaken(event) {
  const { target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return true;
  if (target.closest("[role=tablist]") && event.key.startsWith("Arrow")) return true;
  // A box that scrolls keeps the arrows, or its keyboard users could not scroll it.
  if (target.closest(".tablebox, .scroll[role=region], .strip") && event.key.startsWith("Arrow")) return true;
  return ["SELECT", "TEXTAREA"].includes(target.tagName)
    || (target.tagName === "INPUT" && target.type !== "checkbox");
}

export function listenToKeys(scene, views, { search }) {
  byId("help-keys").replaceChildren(...KEYS.flatMap(([keys, what]) => [
    el("dt", {}, el("kbd", { textContent: keys })), el("dd", { textContent: what })]));
  const help = byId("help");
  byId("help-open").onclick = () => help.showModal();
  byId("help-close").onclick = () => help.close();
  const actions = {
    "/": () => byId("search").focus(),
    "?": () => help.showModal(),
    "+": () => views.matrix.zoomBy(2),
    "=": () => views.matrix.zoomBy(2),
    "-": () => views.matrix.zoomBy(0.5),
    0: () => views.matrix.fit(),
    Escape: () => scene.store.set({ query: -1, key: -1 }),
  };
  document.addEventListener("keydown", (event) => {
    if (event.target.id === "search") {
      if (event.key === "Enter") search(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (isTaken(event)) return;
    const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (scene.state.view === "steps" && sideways && !event.shiftKey) views.steps.move(sideways);
    else if (event.key.startsWith("Arrow")) scene.store.set(step(scene, event.key, event.shiftKey));
    else if (/^[1-8]$/.test(event.key)) {
      const tab = byId(`tab-${VIEWS[event.key - 1]}`);
      if (!tab.hidden) scene.store.set({ view: VIEWS[event.key - 1] });
    } else if (actions[event.key]) actions[event.key]();
    else return;
    event.preventDefault();
  });
  byId("tabs").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const tabs = [...event.currentTarget.children].filter((tab) => !tab.hidden);
    const by = event.key === "ArrowLeft" ? -1 : 1;
    const next = tabs[(tabs.indexOf(document.activeElement) + by + tabs.length) % tabs.length];
    next.focus();
    next.click();
  });
}
