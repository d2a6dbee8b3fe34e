// All heads at once: a thumbnail for each, in a grid of layers and heads.

import { byId, el, hint, isDark, sizeCanvas } from "./dom.js";
import { placeOf, ramp } from "./colors.js";
import { KINDS, KINDS_SHORT } from "./scene.js";
import { poolView } from "./axes.js";
import { Reduced } from "./payload.js";

const SIDE = 64;
/** What changes thumbnails. */
const DRAWN_BY = ["palette", "scale", "theme", "unit", "pair", "special", "sinks", "renormalize"];
const MOST_KEPT = 4000;

/**
 * The greatest weight of each tile, in size: a single strong link is never averaged away.
 * @returns {{width: number, height: number, values: Float32Array, greatest: number}}
 */
export function shrink(head, side = SIDE) {
  const from = head instanceof Reduced ? head.greatest : head;
  const step = Math.max(1, Math.ceil(Math.max(from.rows, from.columns) / side));
  const width = Math.ceil(from.columns / step);
  const height = Math.ceil(from.rows / step);
  const values = new Float32Array(width * height);
  let greatest = 0;
  const row = from.codes ?? new Float32Array(from.columns);
  for (let r = 0; r < from.rows; r++) {
    if (!from.codes) from.row(r, row);
    const start = from.codes ? r * from.columns : 0;
    const scale = from.codes ? from.scales[r] : 1;
    const at = Math.floor(r / step) * width;
    for (let c = 0, column = 0; column < width; column++) {
      const stop = Math.min(c + step, from.columns);
      let most = 0;
      for (; c < stop; c++) if (Math.abs(row[start + c]) > Math.abs(most)) most = row[start + c];
      const weight = from.codes ? scale * from.table[most] : most;
      if (Math.abs(weight) > Math.abs(values[at + column])) values[at + column] = weight;
      if (Math.abs(weight) > greatest) greatest = Math.abs(weight);
    }
  }
  return { width, height, values, greatest };
}

/** Values that `shrink` takes row by row. */
const gridOf = (values, rows, columns) => ({
  rows, columns, row: (r, out) => out.set(values.subarray(r * columns, (r + 1) * columns)),
});

/** Paint values of a grid, one pixel each. @param {Uint8Array | null} allowed */
export function paintValues(canvas, { width, height, values, greatest, allowed }, table, options) {
  canvas.width = Math.max(width, 1);
  canvas.height = Math.max(height, 1);
  if (!values.length) return; // all tokens are hidden
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const { scale = "head", masked = null, signed = false } = options;
  // A whole pixel at a time, red in the lowest byte: every browser is little-endian.
  const pixels = new Uint32Array(image.data.buffer);
  const packed = (r, g, b) => (255 << 24) | (b << 16) | (g << 8) | r;
  const colors = Uint32Array.from({ length: 256 }, (_, i) => packed(...table.subarray(3 * i, 3 * i + 3)));
  for (let i = 0; i < values.length; i++) pixels[i] = colors[(placeOf(values[i], greatest, scale, signed) * 255 + 0.5) | 0];
  if (masked && allowed) {
    const hidden = packed(...masked);
    for (let i = 0; i < values.length; i++) if (!allowed[i]) pixels[i] = hidden;
  }
  context.putImageData(image, 0, 0);
}

/** Heads by what they do, the rarest type first, in rows of `most` at most. */
export function rowsByType(maps, most) {
  const types = new Map();
  maps.forEach((map, place) => map.types.forEach((type, head) => {
    types.set(type, [...types.get(type) ?? [], [place, head]]);
  }));
  return [...types].sort(([, a], [, b]) => a.length - b.length).flatMap(([type, heads]) => {
    const label = type.replaceAll("_", " ");
    const rows = Array.from({ length: Math.ceil(heads.length / most) }, (_, i) => heads.slice(i * most, (i + 1) * most));
    return rows.map((cells, i) => ({ label: i ? "" : `${label} ${heads.length}`, title: label, cells }));
  });
}

/** The panel of all heads. */
export class ModelView {
  constructor(scene, panel) {
    this.scene = scene;
    this.panel = panel;
    this.shrunk = new Map();
    this.buttons = new Map();
    this.run = 0;
    this.stamp = el("canvas");
    this.painted = () => {}; // told of each thumbnail that is there
  }

  /** The maps of the source, in the order of the grid. */
  get maps() { return this.scene.source.maps; }

  show(state, changed) {
    const whole = !changed || ["source", "example", "order"].some((name) => changed.has(name));
    if (whole) this.build();
    if (whole || changed.has("view")) this.resize();
    if (whole || DRAWN_BY.some((name) => changed.has(name))) this.fill();
    this.mark();
  }

  /** Whether heads stand by what they do; they may where the analysis says it. */
  get isTyped() { return this.scene.state.order === "type" && Boolean(this.maps[0].types); }

  /** The rows of the grid: a name, and the [map, head] that stand in it. */
  rows() {
    if (this.isTyped) return rowsByType(this.maps, this.most);
    const several = new Set(this.maps.map((map) => map.kind)).size > 1;
    return this.maps.map((map, place) => ({
      label: several ? `${map.layer} ${KINDS_SHORT[map.kind]}` : String(map.layer),
      title: `${map.name}: ${KINDS[map.kind]}`, cells: map.heads.map((_, head) => [place, head]),
    }));
  }

  build() {
    this.most = Math.max(...this.maps.map((map) => map.heads.length));
    const typed = this.isTyped;
    this.grid = el("div", { className: `heads${typed ? " typed" : ""}`, role: "group" });
    this.grid.setAttribute("aria-label", "All heads: arrow keys move, Enter selects");
    // One canvas under all buttons: the browser looks at each canvas in every frame.
    this.sheet = el("canvas", { "aria-hidden": "true" });
    this.size = 0;
    this.grid.append(this.sheet);
    if (!typed) {
      this.grid.append(el("span", { className: "axis" }));
      for (let head = 0; head < this.most; head++) {
        this.grid.append(el("span", { className: "axis", textContent: String(this.maps[0].heads[head] ?? head) }));
      }
    }
    this.buttons.clear();
    for (const { label, title, cells } of this.rows()) {
      this.grid.append(el("span", { className: "axis layer", textContent: label, title }), ...cells.map((cell) => this.button(...cell)),
        ...Array.from({ length: this.most - cells.length }, () => el("span")));
    }
    const rows = typed ? "rows: types of heads, layer · head under each" : "rows: layers · columns: heads";
    const intro = el("div", { className: "row" }, el("h2", { textContent: "All heads" }), this.orders(),
      hint(`${rows} · ${this.scene.source.trained === false ? "all from 0 to 1" : "each on its own scale"}`, "span"));
    this.panel.replaceChildren(intro, el("div", { className: "scroll", tabIndex: -1 }, this.grid));
  }

  /** The choice of what heads are ordered by; none where their types are not known. */
  orders() {
    if (!this.maps[0].types) return "";
    const select = el("select", {}, ...["layer", "type"].map((value) => el("option", { value, textContent: value })));
    select.value = this.scene.state.order;
    select.onchange = () => {
      this.scene.store.set({ order: select.value });
      this.panel.querySelector("select").focus();
    };
    return el("label", { className: "field" }, "By ", select);
  }

  button(map, head) {
    const name = this.scene.headName({ map, head });
    const said = this.scene.sentence({ map, head });
    const button = el("button", { title: said || name });
    button.setAttribute("aria-label", said ? `${name}: ${said}` : name);
    button.dataset.tag = this.tag(map, head);
    button.onclick = () => this.scene.store.set({ map, head });
    this.buttons.set(`${map},${head}`, button);
    return button;
  }

  tag(map, head) { return `${this.maps[map].layer}·${this.maps[map].heads[head]}`; }

  resize() {
    if (!this.grid) return; // the window may change before the maps are read
    const alone = this.scene.state.view === "model";
    const room = (this.panel.clientWidth || 600) - (this.isTyped ? 124 : 44);
    const side = Math.floor(room / this.most) - 4;
    const size = Math.max(22, Math.min(alone ? 128 : 56, side));
    this.grid.style.gridTemplateColumns = `auto repeat(${this.most}, ${size}px)`;
    for (const button of this.buttons.values()) button.style.height = `${size}px`;
    if (size === this.size || !this.grid.offsetWidth) return;
    this.size = size;
    sizeCanvas(this.sheet, this.grid.offsetWidth, this.grid.offsetHeight);
    this.places = new Map(Array.from(this.buttons, ([key, button]) => (
      [key, [button.offsetLeft + 1, button.offsetTop + 1, button.clientWidth, button.clientHeight]])));
    for (const key of this.buttons.keys()) this.paint(key);
  }

  mark() {
    const { map, head, view } = this.scene.state;
    for (const [key, button] of this.buttons) {
      const chosen = key === `${map},${head}`;
      button.setAttribute("aria-pressed", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
      if (chosen && view === "model" && this.panel.contains(document.activeElement)) button.focus();
    }
  }

  /** Draw the thumbnails one after the other, the selected layer first. */
  async fill() {
    const run = ++this.run;
    const { map } = this.scene.state;
    delete document.documentElement.dataset.thumbnails;
    const order = [...this.buttons.keys()].map((key) => key.split(",").map(Number));
    order.sort((a, b) => (b[0] === map) - (a[0] === map));
    // A few at a time: the browser unpacks beside us, and the page stays free.
    const queue = order.values();
    const work = async () => {
      for (const [place, head] of queue) {
        const about = this.scene.about({ map: place });
        const key = this.scene.viewKey(about, head);
        if (!this.shrunk.has(key)) this.shrunk.set(key, await this.shrink(about, head));
        if (run !== this.run) return;
        this.paint(`${place},${head}`);
        this.painted(place, head);
      }
    };
    if (this.shrunk.size > MOST_KEPT) this.shrunk.clear();
    await Promise.all([work(), work(), work(), work()]);
    if (run !== this.run) return;
    document.documentElement.dataset.thumbnails = "done";
  }

  /** A head, small, as the other views show it: without what is hidden there. */
  async shrink(about, head) {
    const { scene } = this;
    if (scene.isWhole(about, head)) return shrink(await scene.payload.head(about.source, about.map, about.number, head));
    const { tiles, weights, values, rows, columns } = await scene.makeView(about, head);
    return shrink(tiles ? weights : gridOf(values, rows.labels.length, columns.labels.length));
  }

  /** The thumbnail of a head on `room` pixels at most; none before it is unpacked. */
  thumbnail(key, room) {
    const { scale } = this.scene.state;
    const [map, head] = key.split(",").map(Number);
    const small = this.shrunk.get(this.scene.viewKey(this.scene.about({ map }), head));
    if (!small) return null;
    const { width, height, values, greatest } = small;
    const step = Math.max(1, Math.ceil(Math.max(width, height) / room));
    const pooled = poolView({ values, allowed: null }, height, width, step);
    paintValues(this.stamp, { ...pooled, greatest: this.scene.topOf(greatest) }, ramp(this.scene.paletteOf(map), isDark()),
      { scale, signed: this.scene.isSigned(map) });
    return this.stamp;
  }

  paint(key) {
    const place = this.places?.get(key); // none while the panel is hidden
    const thumbnail = place && this.thumbnail(key, place[2] * (window.devicePixelRatio || 1));
    if (!thumbnail) return;
    const context = this.sheet.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.clearRect(...place);
    context.drawImage(thumbnail, ...place);
  }

  /** The thumbnails as one picture. */
  picture() {
    const size = 96;
    const rows = this.rows();
    const typed = this.isTyped;
    const [left, top, step] = [typed ? 130 : 56, 28, size + (typed ? 18 : 4)];
    const canvas = el("canvas");
    canvas.width = left + this.most * (size + 4);
    canvas.height = top + rows.length * step;
    const context = canvas.getContext("2d");
    const style = getComputedStyle(byId("panels"));
    context.fillStyle = getComputedStyle(document.documentElement).backgroundColor;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = style.color;
    context.font = "13px sans-serif";
    context.textAlign = "center";
    context.imageSmoothingEnabled = false;
    const x = (column) => left + column * (size + 4);
    for (let head = 0; head < this.most && !typed; head++) context.fillText(String(head), x(head) + size / 2, 18);
    rows.forEach(({ label, cells }, row) => {
      const y = top + row * step;
      context.fillText(label, left / 2, y + size / 2, left - 8);
      cells.forEach((cell, column) => {
        if (typed) context.fillText(this.tag(...cell), x(column) + size / 2, y + size + 13);
        const thumbnail = this.thumbnail(cell.join(), size);
        if (thumbnail) context.drawImage(thumbnail, x(column), y, size, size);
      });
    });
    return canvas;
  }
}
