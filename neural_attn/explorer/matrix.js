// One head as a matrix: zoom, pan, the value under the pointer, sums of rows and columns.

import { areAllOne, drawHovered, drawLabels, drawSums, poolView, SUMS, sumsOf, sumsOfTiles } from "./axes.js";
import { byId, el, formatWeight, hint, isolated, onceAFrame, sizeCanvas, themeColors, unbroken } from "./dom.js";
import { channels, placeOf, ramp } from "./colors.js";
import { paintValues } from "./model.js";
import { listenToPointer } from "./pointer.js";

const MARGIN = { left: 104, top: 84 };
const MOST_ZOOM = 64;
/** What stands around the picture in its panel, in pixels. */
const AROUND = 150;

/** The panel of one matrix. */
export class MatrixView {
  constructor(scene, panel) {
    this.scene = scene;
    this.panel = panel;
    this.hover = null;
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.above = 180; // pixels of what stands above the views, until it is measured
    this.bitmaps = new Map();
    this.spare = [];
    this.heading = el("h2");
    this.legend = el("canvas", { width: 120, height: 10 });
    this.ends = [el("span"), el("span")];
    this.canvas = el("canvas", { tabIndex: 0, role: "img" });
    // Over the picture lie the tokens, which heads share, and what follows the pointer:
    // neither is drawn again with the other.
    [this.tokens, this.over] = [0, 1].map(() => el("canvas", { className: "over", "aria-hidden": "true" }));
    this.stage = el("div", { className: "stage" }, this.canvas, this.tokens, this.over);
    this.readout = el("p", { className: "readout" });
    const zoomTo = (factor) => () => this.zoomBy(factor);
    const tools = el("span", { className: "stepper", role: "group" },
      el("button", { textContent: "−", onclick: zoomTo(0.5), "aria-label": "Zoom out" }),
      el("button", { textContent: "Fit", onclick: () => this.fit() }),
      el("button", { textContent: "+", onclick: zoomTo(2), "aria-label": "Zoom in" }));
    tools.setAttribute("aria-label", "Zoom");
    this.even = el("i");
    const scale = el("span", { className: "legend", title: "√: by the square root; log: by the logarithm; else linear" }, this.ends[0], el("span", {}, this.legend, this.even), this.ends[1]);
    this.leftOut = hint("");
    this.table = el("div");
    this.sentence = el("p", { className: "hint" });
    panel.replaceChildren(el("div", { className: "row" }, this.heading, scale, tools),
      this.sentence, this.readout, this.stage, this.leftOut, this.table);
    this.redraw = onceAFrame(() => this.draw());
    this.repoint = onceAFrame(() => this.drawPointer());
    listenToPointer(this);
    // Asking for the width while drawing would make the browser lay out the page.
    new ResizeObserver(([entry]) => {
      this.width = entry.contentRect.width;
      this.redraw();
    }).observe(this.stage);
    new ResizeObserver(([entry]) => {
      this.above = entry.contentRect.height;
      this.redraw();
    }).observe(byId("above"));
  }

  async show() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const view = await this.scene.view();
    if (turn !== this.turn) return;
    this.take(view);
    this.spare.push(...this.bitmaps.values());
    this.bitmaps.clear();
    this.draw();
    document.documentElement.dataset.head = `${this.scene.state.map},${this.scene.state.head}`;
  }

  /** Make a view the one that is drawn. */
  take(view) {
    if (view === this.view) return;
    const sameShape = this.view && this.view.rows.labels.length === view.rows.labels.length
      && this.view.columns.labels.length === view.columns.labels.length;
    if (!sameShape) this.zoom = { scale: 1, x: 0, y: 0 };
    this.view = view;
    this.sums = view.tiles ? sumsOfTiles(view)
      : sumsOf(view.values, view.rows.labels.length, view.columns.labels.length);
    this.sums.tellRows = !areAllOne(this.sums.byRow);
    this.hover = null;
  }

  fit() {
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.redraw();
  }

  zoomBy(factor, at = { x: this.side / 2, y: this.side / 2 }) {
    const { scale, x, y } = this.zoom;
    const next = Math.min(Math.max(scale * factor, 1), MOST_ZOOM);
    const grown = next / scale;
    this.zoom = { scale: next, x: (x + at.x) * grown - at.x, y: (y + at.y) * grown - at.y };
    this.redraw();
  }

  /** Sizes in CSS pixels: of a cell, of the window on the cells, of the margins. */
  layout() {
    const rows = this.view.rows.labels.length;
    const columns = this.view.columns.labels.length;
    const width = Math.max(this.width || this.stage.clientWidth, 240);
    const narrow = width < 480;
    const left = narrow ? 72 : MARGIN.left;
    const top = narrow ? 60 : MARGIN.top;
    const room = width - left - (this.sums.tellRows ? SUMS : 0) - 8;
    // All of it is seen at once where the window has the room.
    const tall = Math.max(260, Math.min(window.innerHeight - this.above - AROUND, 860) - top - SUMS);
    const cell = Math.min(room / columns, tall / rows, 44);
    const shown = { width: cell * columns, height: cell * rows };
    return { rows, columns, width, left, top, cell: cell * this.zoom.scale, shown,
      height: top + shown.height + SUMS + 8 };
  }

  draw() {
    if (!this.view || !this.panel.classList.contains("shown")) return;
    const place = this.layout();
    this.place = place;
    this.side = Math.min(place.shown.width, place.shown.height);
    for (const axis of ["x", "y"]) {
      const size = axis === "x" ? place.shown.width : place.shown.height;
      this.zoom[axis] = Math.min(Math.max(this.zoom[axis], 0), size * (this.zoom.scale - 1));
    }
    const colors = themeColors();
    const context = sizeCanvas(this.canvas, place.width, place.height);
    const ratio = window.devicePixelRatio || 1;
    const step = Math.max(1, Math.ceil(1 / (place.cell * ratio)));
    const bitmap = this.bitmap(step, colors);
    context.save();
    context.beginPath();
    context.rect(place.left, place.top, place.shown.width, place.shown.height);
    context.clip();
    context.imageSmoothingEnabled = false;
    context.drawImage(bitmap, place.left - this.zoom.x, place.top - this.zoom.y,
      bitmap.width * step * place.cell, bitmap.height * step * place.cell);
    this.drawCross(context, place, colors);
    context.restore();
    drawSums(context, this, colors);
    this.drawTokens(colors);
    this.drawHeading(colors);
    if (this.pointed || this.hover) this.drawPointer();
    else this.describe();
    this.canvas.style.touchAction = this.zoom.scale > 1 ? "none" : "pan-y";
  }

  bitmap(step, colors) {
    if (!this.bitmaps.has(step)) {
      // A head has few bitmaps, and making a canvas takes as long as painting it.
      const canvas = this.spare.pop() ?? el("canvas");
      const { rows, columns } = this.place;
      const pooled = poolView(this.view, rows, columns, step);
      const table = ramp(this.view.palette ?? this.scene.state.palette, colors.dark);
      paintValues(canvas, { ...pooled, greatest: this.view.greatest }, table,
        { scale: this.scene.state.scale, masked: channels(colors.masked), signed: this.view.signed });
      this.bitmaps.set(step, canvas);
    }
    return this.bitmaps.get(step);
  }

  /** The tokens, where they are not those that stand there. */
  drawTokens(colors) {
    const { place, view, zoom, scene } = this;
    const { left, top, width, height, cell } = place;
    const shown = [view.rows, view.columns, scene.queryGroup(view), scene.keyGroup(view), scene.found, colors,
      left, top, width, height, cell, zoom.x, zoom.y, window.devicePixelRatio];
    if (shown.every((one, i) => one === this.drawn?.[i])) return;
    this.drawn = shown;
    const leftOut = drawLabels(sizeCanvas(this.tokens, width, height), this, colors);
    this.leftOut.hidden = !leftOut.length;
    this.leftOut.textContent = `No room for ${leftOut.join(" and ")}: a cell names its own when pointed at.`;
  }

  /** The cell under the pointer: its frame, its tokens and its weight. */
  drawPointer() {
    const { place, hover, zoom } = this;
    if (!place) return;
    const context = sizeCanvas(this.over, place.width, place.height);
    this.pointed = hover;
    if (hover) {
      const colors = themeColors();
      context.strokeStyle = colors.ink;
      context.strokeRect(place.left + hover.column * place.cell - zoom.x - 0.5,
        place.top + hover.row * place.cell - zoom.y - 0.5, place.cell + 1, place.cell + 1);
      drawHovered(context, this, "rows", hover.row, colors);
      drawHovered(context, this, "columns", hover.column, colors);
    }
    this.describe();
  }

  /** Row and column of the selection. */
  drawCross(context, place, colors) {
    const at = (group, axis) => place[axis === "x" ? "left" : "top"] + group * place.cell - this.zoom[axis];
    const { shown, cell, left, top } = place;
    const row = this.scene.queryGroup(this.view);
    const column = this.scene.keyGroup(this.view);
    context.strokeStyle = colors.accent;
    context.lineWidth = 1.5;
    if (row >= 0) context.strokeRect(left - 2, at(row, "y"), shown.width + 4, Math.max(cell, 1.5));
    if (column >= 0) context.strokeRect(at(column, "x"), top - 2, Math.max(cell, 1.5), shown.height + 4);
  }

  drawHeading(colors) {
    this.heading.textContent = this.scene.headName();
    const sentence = unbroken(this.scene.sentence());
    this.sentence.textContent = sentence && this.scene.hides ? `${sentence} (hidden tokens too)` : sentence;
    const { scale } = this.scene.state;
    const { greatest, signed, even } = this.view;
    const table = ramp(this.view.palette ?? this.scene.state.palette, colors.dark);
    if (table !== this.painted) {
      paintValues(this.legend, { width: 120, height: 1, greatest: 1, values: Float32Array.from({ length: 120 }, (_, i) => i / 119) }, table, {});
      this.painted = table;
    }
    this.ends[0].textContent = signed ? formatWeight(-greatest) : scale === "log" ? formatWeight(greatest / 1e4) : "0";
    this.ends[1].textContent = formatWeight(greatest) + { head: "", sqrt: " √", log: " log" }[scale];
    this.even.hidden = !(even <= greatest);
    this.even.textContent = `uniform ${formatWeight(even)}`;
    this.even.style.left = `${100 * placeOf(even, greatest, scale)}%`;
    const { queries, keys } = { queries: this.place.rows, keys: this.place.columns };
    this.canvas.setAttribute("aria-label",
      `Matrix of ${this.scene.headName()}: ${queries} queries by ${keys} keys. Numbers are in the data table below.`);
  }

  describe() {
    const cell = this.hover ?? { row: this.scene.queryGroup(this.view), column: this.scene.keyGroup(this.view) };
    const { rows, columns, values, allowed, tiles } = this.view;
    if (cell.row < 0 || (cell.column < 0 && cell.row < 0)) {
      this.readout.replaceChildren(hint(`Point at a cell for its weight; click to keep it. Bars: ${this.sums.tellRows ? "sums of rows and columns" : "what each key receives"}.`, "span"));
      return;
    }
    // Sums of rounded weights: more digits would say that rows do not sum to 1.
    const sums = `row sum ${this.sums.byRow[cell.row].toFixed(2)}`;
    if (cell.column < 0) {
      this.readout.replaceChildren("query ", isolated(rows.labels[cell.row]), ` · ${sums}`);
      return;
    }
    const index = cell.row * columns.labels.length + cell.column;
    const hidden = allowed && !allowed[index];
    const value = hidden ? "masked by the network" : formatWeight(values[index]) + this.scene.errorText(this.view, cell.row, cell.column);
    this.readout.replaceChildren(
      "query ", isolated(rows.labels[cell.row]), ` (${rows.members[cell.row][0]}) → key `,
      isolated(columns.labels[cell.column]), ` (${columns.members[cell.column][0]}): `,
      el("b", { textContent: value }), tiles ? ` greatest of the tile, mean ${formatWeight(this.view.weights.mean.at(cell.row, cell.column))}` : "",
      ` · ${sums} · key receives ${this.sums.byColumn[cell.column].toFixed(2)}`);
  }

  cellAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const { left, top, cell, shown, rows, columns } = this.place;
    const x = event.clientX - box.left - left;
    const y = event.clientY - box.top - top;
    if (x < 0 || y < 0 || x >= shown.width || y >= shown.height) return null;
    const column = Math.min(columns - 1, Math.floor((x + this.zoom.x) / cell));
    const row = Math.min(rows - 1, Math.floor((y + this.zoom.y) / cell));
    return { row, column, x, y };
  }
}
