// The text as people read it: what the selected query attends to is highlighted in it.

import { channels, placeOf } from "./colors.js";
import { el, formatWeight, hint, themeColors } from "./dom.js";
import { linksOf } from "./head.js";
import { sumsOf } from "./axes.js";
import { greatestOf, plainPiece } from "./transform.js";

const SHOWN_BESIDE = ["matrix", "head", "measures"];
/** Of longer texts so many words are shown, around the query. */
const MOST_WORDS = 400;
/** Letters that are kept on a line: a word of more is broken. */
const LONGEST = 30;
/** Colouring waits until the matrix is seen. */
const WAIT = 120;
/** The strongest highlight still leaves the word readable on it. */
const DEEPEST = 0.45;

/** The part of `length` that is shown around a position, as [first, end]. */
export function windowOf(length, position) {
  if (length <= MOST_WORDS) return [0, length];
  // In steps, so that a next query seldom moves the text.
  const half = MOST_WORDS / 2;
  const first = Math.max(0, Math.min(length - MOST_WORDS, half * (Math.floor(position / half) - 0.5)));
  return [first, first + MOST_WORDS];
}

/** The panel of the text. */
export class ReadingView {
  constructor(scene, panel) {
    this.scene = scene;
    this.panel = panel;
    this.body = el("div");
    this.said = hint("");
    const title = el("h2", { id: "reading-title", textContent: "The text" });
    panel.replaceChildren(title, this.said, this.body);
    this.later = 0;
  }

  show(view, state) {
    this.panel.hidden = !SHOWN_BESIDE.includes(state.view);
    clearTimeout(this.later);
    if (!this.panel.hidden) this.later = setTimeout(() => this.draw(view), WAIT);
  }

  draw(view) {
    const links = linksOf(view, this.scene);
    const query = this.scene.queryGroup(links);
    const { weights, said } = this.weights(view, links, query);
    this.build(view, links, query);
    this.said.textContent = said;
    const { accent, warn } = themeColors();
    const most = weights ? this.scene.topOf(greatestOf(weights)) : 0;
    const { scale } = this.scene.state;
    for (const { word, key, row } of this.words) {
      const weight = weights && key >= 0 ? weights[key] : 0;
      const share = placeOf(Math.abs(weight), most, scale, false);
      // In whole percents, so that few words are painted again for another head.
      const depth = Math.round(100 * DEEPEST * share);
      const color = depth ? `rgb(${channels(weight < 0 ? warn : accent).join(" ")} / ${depth}%)` : "";
      if (word.style.backgroundColor !== color) word.style.backgroundColor = color;
      word.title = weights && key >= 0 ? formatWeight(weight) : "";
      const chosen = String(row >= 0 && row === query);
      if (row >= 0 && word.getAttribute("aria-pressed") !== chosen) word.setAttribute("aria-pressed", chosen);
    }
  }

  /** What colours the keys, and how that is said. */
  weights(view, links, query) {
    const asks = "Click a word to see what it attends to";
    if (query >= 0) {
      const weights = links.row(query);
      return { weights, said: `Colour: what “${links.rows.labels[query]}” attends to, up to ${formatWeight(greatestOf(weights))}.` };
    }
    if (view.tiles) return { weights: null, said: `${asks}.` };
    const { byColumn } = sumsOf(view.values, view.rows.labels.length, view.columns.labels.length);
    const weights = byColumn.map((sum) => sum / view.rows.labels.length);
    return { weights, said: `Colour: what each word receives, on average. ${asks}.` };
  }

  /** The words, made anew only where they are others. */
  build(view, { rows, columns }, query) {
    const { about } = view;
    const [first, end] = windowOf(rows.labels.length, Math.max(query, 0));
    const made = [rows, columns, first];
    if (made.every((one, i) => one === this.made?.[i])) return;
    this.made = made;
    this.words = [];
    const { whole, example, queryText, keyText } = about;
    const one = whole.kind !== "cross" && example.rows === example.columns && this.scene.state.pair === "all";
    const key = (r) => columns.of[rows.members[r][0]] ?? -1;
    const parts = one
      ? [this.text("The text", queryText, example.query_start, rows, first, end, (r) => ({ row: r, key: key(r) }))]
      : [hint("Queries"), this.text("Queries", queryText, example.query_start, rows, first, end, (r) => ({ row: r, key: -1 })),
        hint("Keys"), this.text("Keys", keyText, example.key_start, columns, ...windowOf(columns.labels.length, 0), (c) => ({ row: -1, key: c }))];
    const left = rows.labels.length - (end - first);
    this.body.replaceChildren(...parts, left ? hint(`Shown: ${end - first} of ${rows.labels.length}, those around the query.`) : "");
  }

  /** One text; `roles` says which query and which key a group is. */
  text(label, text, start, axis, first, end, roles) {
    const box = el("div", { className: "words", role: "group", tabIndex: 0, "aria-label": label, dir: "auto" });
    let chunk = null; // what no line breaks: a word, and the signs and pieces that follow it
    for (let i = first; i < end; i++) {
      const role = roles(i);
      const [position] = axis.members[i];
      const at = start + position;
      const starts = i === first || text.words[at] !== text.words[at - 1];
      const special = axis.special[i];
      const space = i > first && text.spaces[at];
      const name = axis.members[i].length > 1 ? axis.labels[i] : plainPiece(text.shown[at], starts);
      if (!chunk || space || chunk.textContent.length > LONGEST) {
        chunk = el("span");
        box.append(space ? " " : "", chunk);
      }
      // No `button`: browsers set each apart, and letters of one Arabic word would not join.
      const word = el("span", { className: special ? "special" : "", textContent: name });
      // Special tokens, Latin in every text, neither give the text its direction nor take it.
      if (special) word.dir = "auto";
      if (role.row >= 0) word.role = "button";
      if (role.row >= 0) {
        word.tabIndex = -1; // the arrows with Shift go there
        word.onclick = () => this.scene.store.set({ query: position });
        if (label === "The text" && role.key < 0) word.classList.add("hidden");
      }
      chunk.append(word);
      this.words.push({ word, ...role });
    }
    return box;
  }
}
