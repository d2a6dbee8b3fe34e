// Queries on the left, keys on the right, joined by lines; several heads in colours.

import { drawText, el, FONT, formatWeight, hint, isolated, onceAFrame, sizeCanvas, themeColors } from "./dom.js";
import { headColor, signColor } from "./colors.js";
import { greatestOf } from "./transform.js";

const ROW = 22;
/** Weaker links than this share of the greatest are not drawn, nor more than so many. */
const FAINTEST = 0.02;
const MOST_LINES = 6000;

/** Links of a reduced head are known for each token, not for groups. */
const TOKENS = { unit: "token", special: false, pair: "all" };

/** Tokens and links of one head, whether it is kept in full or not. */
export function linksOf(view, scene) {
  if (!view.tiles) {
    const width = view.columns.labels.length;
    return {
      rows: view.rows, columns: view.columns, greatest: view.greatest,
      row: (r) => view.values.subarray(r * width, (r + 1) * width),
    };
  }
  const { weights } = view;
  const plain = scene.axes(view.about, [], TOKENS);
  return { ...plain, greatest: scene.topOf(greatestOf(weights.linkWeights), view.about.source), row: (r) => weights.row(plain.rows.members[r][0]), reduced: weights.links };
}

/** How lines below 0 look beside those above. */
export function signsOf(signed, heads) {
  if (!signed) return [];
  return [heads === 1 ? "blue above 0 · orange below" : "dashed: below 0"];
}

/** Lines below 0 are dashed where colours tell heads. */
export const dashOf = (weight, heads) => (weight < 0 && heads > 1 ? [5, 4] : []);

/** The panel of lines. */
export class HeadView {
  constructor(scene, panel) {
    this.scene = scene;
    this.panel = panel;
    this.hover = null;
    this.heading = el("h2");
    this.chips = el("div", { className: "chips", role: "group", "aria-label": "Heads of this layer" });
    this.canvas = el("canvas", { tabIndex: 0, role: "img" });
    this.tall = el("div", { className: "tall" });
    this.sides = hint("", "span");
    this.stage = el("div", { className: "stage lines", tabIndex: -1 }, this.tall, this.canvas);
    this.readout = el("p", { className: "readout" });
    this.table = el("div");
    panel.replaceChildren(el("div", { className: "row" }, this.heading,
      this.sides),
    this.chips, this.readout, this.stage, this.table);
    this.redraw = onceAFrame(() => this.draw());
    this.stage.addEventListener("scroll", this.redraw);
    new ResizeObserver(this.redraw).observe(this.stage);
    this.listen();
  }

  async show() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const { head, others } = this.scene.state;
    const heads = [head, ...others.filter((other) => other !== head)];
    const views = await Promise.all(heads.map((one) => this.scene.view({ head: one })));
    if (turn !== this.turn) return;
    this.heads = heads;
    // A sink hidden in one head stands in another: all take the tokens of the first.
    this.links = views.map((view) => linksOf(view, this.scene))
      .filter((one, i, all) => one.columns.labels.length === all[0].columns.labels.length);
    this.signed = views[0].signed;
    this.showChips();
    this.draw(); // gives the list its height, without which there is nothing to scroll
    this.reveal();
    this.draw();
  }

  showChips() {
    const { map, state } = this.scene;
    const { dark } = themeColors();
    const shown = new Set(this.heads);
    this.chips.replaceChildren(...map.heads.map((number, head) => {
      const box = el("input", { type: "checkbox", checked: shown.has(head), disabled: head === state.head });
      box.setAttribute("aria-label", `Head ${number}`);
      box.addEventListener("change", () => {
        const { others } = this.scene.state;
        this.scene.store.set({ others: box.checked ? [...others, head] : others.filter((o) => o !== head) });
      });
      const swatch = el("i");
      if (shown.has(head)) swatch.style.background = headColor(this.heads.indexOf(head), dark);
      return el("label", { className: shown.has(head) ? "on" : "" }, box, swatch, String(number));
    }));
  }

  /** Scroll so that the selected query is seen. */
  reveal() {
    const row = this.scene.queryGroup(this.links[0]);
    const { scrollTop, clientHeight } = this.stage;
    if (row < 0 || !clientHeight) return;
    const y = row * ROW;
    if (y < scrollTop || y > scrollTop + clientHeight - 2 * ROW) this.stage.scrollTop = y - clientHeight / 2;
  }

  /** What the lines belong to: the pointer's token, else the selected query. */
  active() {
    if (this.hover) return this.hover;
    const row = this.scene.queryGroup(this.links[0]);
    return row >= 0 ? { side: "query", index: row } : null;
  }

  draw() {
    if (!this.links || !this.panel.classList.contains("shown")) return;
    const { rows, columns } = this.links[0];
    const count = Math.max(rows.labels.length, columns.labels.length);
    const width = Math.max(this.stage.clientWidth, 240);
    this.stage.style.height = `${count * ROW + 10}px`;
    const height = Math.min(count * ROW + 8, this.stage.clientHeight || 600);
    this.tall.style.height = `${count * ROW + 8}px`;
    const context = sizeCanvas(this.canvas, width, height);
    const label = Math.min(190, width * 0.3);
    const top = this.stage.scrollTop;
    this.place = { width, height, label, top, left: label + 8, right: width - label - 8 };
    const colors = themeColors();
    const active = this.active();
    this.drawLines(context, active, colors);
    this.drawTokens(context, active, colors);
    this.describe(active);
  }

  /** Lines to draw: [head, row, column, share], faintest first. */
  lines(active) {
    const found = [];
    const { top, height } = this.place;
    const first = Math.floor(top / ROW);
    const last = Math.ceil((top + height) / ROW);
    this.links.forEach((links, order) => {
      const { greatest } = links;
      const isKey = active?.side === "key";
      const from = active && !isKey ? active.index : isKey ? 0 : first;
      const to = active && !isKey ? active.index + 1 : isKey ? links.rows.labels.length : Math.min(last, links.rows.labels.length);
      for (let r = from; r < to; r++) {
        const row = links.row(r);
        const start = isKey ? active.index : 0;
        const stop = isKey ? active.index + 1 : row.length;
        for (let c = start; c < stop; c++) {
          const share = row[c] / greatest;
          const size = Math.abs(share);
          if (size >= FAINTEST || (active && size > 0 && size >= FAINTEST / 4)) found.push([order, r, c, share]);
        }
      }
    });
    found.sort((a, b) => Math.abs(a[3]) - Math.abs(b[3]));
    return found.slice(-MOST_LINES);
  }

  drawLines(context, active, colors) {
    const { left, right, top } = this.place;
    const bend = (right - left) / 2;
    for (const [order, r, c, weight] of this.lines(active)) {
      const share = Math.abs(weight);
      const from = (r + 0.5) * ROW - top;
      const to = (c + 0.5) * ROW - top;
      context.strokeStyle = this.color(order, weight, colors.dark);
      context.setLineDash(dashOf(weight, this.links.length));
      context.globalAlpha = active ? 0.08 + 0.92 * share : 0.03 + 0.97 * share ** 1.3;
      context.lineWidth = 0.7 + 3 * share;
      context.beginPath();
      context.moveTo(left, from);
      context.bezierCurveTo(left + bend, from, right - bend, to, right, to);
      context.stroke();
    }
    context.globalAlpha = 1;
    context.setLineDash([]);
  }

  /** The colour of a head, or of one signed head's weight. */
  color(order, weight, dark) {
    return this.signed && this.links.length === 1 ? signColor(weight, dark) : headColor(order, dark);
  }

  drawTokens(context, active, colors) {
    const { left, right, top, width, height, label } = this.place;
    const { rows, columns } = this.links[0];
    const first = Math.floor(top / ROW);
    const last = Math.ceil((top + height) / ROW);
    const chosenRow = this.scene.queryGroup(this.links[0]);
    const chosenColumn = this.scene.keyGroup(this.links[0]);
    const { found } = this.scene;
    context.textBaseline = "middle";
    const write = (side, axis, i, chosen, marks) => {
      const y = (i + 0.5) * ROW - top;
      const isQuery = side === "query";
      const strong = (active?.side === side && active.index === i) || chosen === i;
      this.drawBoxes(context, side, i, y, active, colors);
      const hit = axis.members[i].some((p) => marks?.has(p));
      context.fillStyle = strong || hit ? colors.accent : axis.special?.[i] ? colors.muted : colors.ink;
      context.font = `${strong || hit ? "600 " : ""}13px ${FONT}`;
      context.textAlign = isQuery ? "right" : "left";
      drawText(context, axis.labels[i], isQuery ? left - 12 : right + 12, y, label - 16);
    };
    for (let i = first; i < Math.min(last, rows.labels.length); i++) write("query", rows, i, chosenRow, found?.rows);
    for (let i = first; i < Math.min(last, columns.labels.length); i++) write("key", columns, i, chosenColumn, found?.columns);
    context.fillStyle = colors.line;
    context.fillRect(left, 0, 1, height);
    context.fillRect(right, 0, 1, Math.min(height, width));
  }

  /** Shares of the other side as boxes behind the tokens, one part for each head. */
  drawBoxes(context, side, i, y, active, colors) {
    if (!active || active.side === side) return;
    const { left, right, label } = this.place;
    const part = label / this.links.length;
    this.links.forEach((links, order) => {
      const weight = side === "key" ? links.row(active.index)[i] : links.row(i)[active.index];
      context.fillStyle = this.color(order, weight, colors.dark);
      context.globalAlpha = 0.45 * Math.min(1, Math.abs(weight) / links.greatest);
      const start = side === "key" ? right + 6 + order * part : left - 6 - label + order * part;
      context.fillRect(start, y - ROW / 2 + 1, part, ROW - 2);
    });
    context.globalAlpha = 1;
  }

  describe(active) {
    const { rows, columns, reduced } = this.links[0];
    this.heading.textContent = this.scene.headName();
    this.sides.textContent = ["queries left · keys right", ...signsOf(this.signed, this.links.length)].join(" · ");
    this.canvas.setAttribute("aria-label",
      `Lines of ${this.scene.headName()} from ${rows.labels.length} queries to ${columns.labels.length} keys. Numbers are in the data table below.`);
    if (!active) {
      this.readout.replaceChildren(hint("Point at a token to see what it attends to, or what attends to it; click to keep it.", "span"));
      return;
    }
    const isQuery = active.side === "query";
    const other = isQuery ? columns : rows;
    const weights = isQuery ? Array.from(this.links[0].row(active.index))
      : rows.labels.map((_, r) => this.links[0].row(r)[active.index]);
    const order = weights.map((_, i) => i).sort((a, b) => Math.abs(weights[b]) - Math.abs(weights[a])).slice(0, 4);
    const parts = order.flatMap((i, n) => [n ? ", " : " ", isolated(other.labels[i]), ` ${formatWeight(weights[i])}`]);
    this.readout.replaceChildren(el("b", {}, isolated((isQuery ? rows : columns).labels[active.index])),
      isQuery ? " attends to" : " is attended to by", ...parts,
      reduced ? ` (the ${reduced} strongest keys of each query are kept)` : "");
  }

  tokenAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    const index = Math.floor((event.clientY - box.top + this.place.top) / ROW);
    const side = x <= this.place.left ? "query" : x >= this.place.right ? "key" : null;
    if (!side) return null;
    const { length } = (side === "query" ? this.links[0].rows : this.links[0].columns).labels;
    return index >= 0 && index < length ? { side, index } : null;
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointermove", (event) => {
      if (!this.links) return;
      const found = this.tokenAt(event);
      if (found?.side === this.hover?.side && found?.index === this.hover?.index) return;
      this.hover = found;
      this.redraw();
    });
    canvas.addEventListener("pointerleave", () => {
      this.hover = null;
      this.redraw();
    });
    canvas.addEventListener("click", (event) => {
      const found = this.links && this.tokenAt(event);
      if (!found) return;
      const axis = found.side === "query" ? this.links[0].rows : this.links[0].columns;
      const position = axis.members[found.index][0];
      const { state, store } = this.scene;
      store.set({ [found.side]: state[found.side] === position ? -1 : position });
    });
  }
}
