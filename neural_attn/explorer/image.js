// Attention over the image that it is of: a query's, a head's mean, and rollout.

import { cssColor, inkOn, placeOf, ramp, rampOf, shareOf } from "./colors.js";
import { el, formatWeight, hint, isolated, onceAFrame, sizeCanvas, themeColors } from "./dom.js";
import { dataTable, headCell, numberCell, tableBox } from "./table.js";
import { greatestOf } from "./transform.js";

/** Over an image in light grey: no weight is clear, and much is dark. */
const HEAT = rampOf(["#ffffcc", "#fed976", "#fd8d3c", "#e31a1c", "#800026"]);
/** How much of the image the cell of the greatest weight covers. */
const COVERS = 0.9;
const IMAGE_SIDE = 420; // at most
const IMAGE_GAP = 20;
const PATCHES_LISTED = 200;

/** The panel of an image, three times. */
export class ImageView {
  constructor(scene, panel) {
    this.scene = scene;
    this.panel = panel;
    this.images = new Map();
    this.heading = el("h2");
    this.tokens = el("div", { className: "strip", role: "group" });
    this.tokens.setAttribute("aria-label", "Tokens before the patches");
    this.readout = el("p", { className: "readout" });
    this.places = [0, 1, 2].map((number) => this.makePlace(number));
    this.row = el("div", { className: "images" }, ...this.places.map(({ figure }) => figure));
    this.about = hint("");
    this.table = dataTable(() => [this.listed()]);
    panel.replaceChildren(this.heading, this.tokens, this.readout, this.row, this.about, this.table.element);
    this.redraw = onceAFrame(() => this.draw());
    new ResizeObserver(this.redraw).observe(this.row);
  }

  /** The longer side of an image: as many side by side as there is room for. */
  get side() {
    const room = this.row.clientWidth || 3 * IMAGE_SIDE;
    const across = Math.max(1, Math.min(3, Math.floor(room / 220)));
    return Math.min(IMAGE_SIDE, Math.floor((room - (across - 1) * IMAGE_GAP) / across));
  }

  makePlace(number) {
    const canvas = el("canvas", { role: "img" });
    const caption = el("figcaption", { className: "hint" });
    const figure = el("figure", {}, canvas, caption);
    canvas.onpointermove = (event) => this.point(this.patchAt(number, event));
    canvas.onpointerleave = () => this.point(-1);
    canvas.onclick = (event) => {
      const query = this.patchAt(number, event);
      if (query >= 0) this.scene.store.set({ query });
    };
    return { canvas, caption, figure };
  }

  /** The picture of the selected example, if its keys are patches of one. */
  get picture() {
    const { example } = this.scene.about();
    return this.scene.header.pictures?.[example.picture];
  }

  async show() {
    if (!this.picture) return;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const { scene } = this;
    const { source, map, number } = scene.about();
    const [weights, rollout, image] = await Promise.all([
      scene.payload.head(source, map, number, scene.state.head),
      scene.payload.rollout(source, map, number), this.load(this.picture),
    ]);
    if (turn !== this.turn) return;
    this.image = image;
    const { queryText } = scene.about();
    const query = this.scene.query;
    const name = queryText.shown[query];
    this.name = name;
    this.layers = [
      { what: `What ${name} attends to`, values: weights.row(query) },
      { what: "Mean over all queries", values: meanRow(weights), isMean: true },
      { what: `Rollout: what ${name} contains after layer ${scene.map.layer}`, values: rollout?.row(query), isRollout: true },
    ];
    this.heading.replaceChildren("What ", isolated(name), ` attends to: ${scene.headName()}`);
    this.showTokens();
    this.draw();
    this.table.refresh();
  }

  load({ png }) {
    if (!this.images.has(png)) {
      const image = new Image();
      image.src = png;
      this.images.set(png, image.decode().then(() => image));
    }
    return this.images.get(png);
  }

  /** Buttons that make a token before the patches the query, with what it gets. */
  showTokens() {
    const { queryText } = this.scene.about();
    const { values } = this.layers[0];
    const table = ramp(this.scene.paletteOf(), themeColors().dark);
    this.tokens.replaceChildren(...Array.from({ length: this.picture.before }, (_, p) => {
      const button = el("button", { title: `weight ${formatWeight(values[p])}` }, isolated(queryText.shown[p]), ` ${formatWeight(values[p])}`);
      const share = shareOf(Math.abs(values[p]), 1, this.scene.state.scale);
      button.style.background = cssColor(table, share);
      button.style.color = inkOn(table, share);
      button.setAttribute("aria-pressed", String(p === this.scene.query));
      button.onclick = () => this.scene.store.set({ query: p });
      return button;
    }));
    this.tokens.hidden = !this.picture.before;
  }

  draw() {
    if (!this.layers || !this.picture) return;
    const { width, height } = this.image;
    const scale = this.side / Math.max(width, height);
    const { rows, columns, stretched } = this.picture;
    const colors = stretched ? " Its colours are stretched: each channel from its least value to its greatest." : "";
    this.about.textContent = `The image as the network saw it: ${width} × ${height} pixels, ${columns} × ${rows} patches.${colors} Click a patch to see what it attends to.`;
    this.layers.forEach((layer, number) => {
      const { canvas, caption, figure } = this.places[number];
      figure.hidden = !layer.values;
      if (!layer.values) return;
      const context = sizeCanvas(canvas, width * scale, height * scale);
      this.paint(context, layer, 0, 0, scale);
      const [most, best] = this.greatest(layer);
      const { keyText } = this.scene.about();
      figure.style.maxWidth = `${width * scale}px`;
      caption.textContent = `${layer.what}. Up to ${formatWeight(most)}, at ${keyText.shown[best]}.`;
      canvas.setAttribute("aria-label", caption.textContent);
    });
  }

  /** The greatest weight of the patches, and where it is. */
  greatest({ values }) {
    const patches = values.subarray(this.picture.before);
    const most = greatestOf(patches);
    return [most, this.picture.before + patches.findIndex((weight) => Math.abs(weight) === most)];
  }

  /** One image with weights over it, at a place of a canvas. */
  paint(context, layer, left, top, scale) {
    const { rows, columns, before } = this.picture;
    const { state } = this.scene;
    const [width, height] = [this.image.width * scale, this.image.height * scale];
    const signed = !layer.isRollout && this.scene.isSigned();
    const table = signed ? ramp("difference", false) : HEAT;
    const most = this.scene.topOf(this.greatest(layer)[0]);
    context.save();
    context.imageSmoothingEnabled = false;
    context.filter = "grayscale(1)";
    context.drawImage(this.image, left, top, width, height);
    context.filter = "none";
    context.fillStyle = "rgb(255 255 255 / 40%)";
    context.fillRect(left, top, width, height);
    const [x, y] = [(p) => left + (p % columns) * width / columns, (p) => top + Math.floor(p / columns) * height / rows];
    for (let p = 0; p < rows * columns; p++) {
      const weight = layer.values[before + p];
      context.globalAlpha = COVERS * shareOf(Math.abs(weight), most, state.scale === "log" ? "log" : "sqrt");
      context.fillStyle = cssColor(table, placeOf(weight, most, state.scale, signed));
      context.fillRect(x(p), y(p), width / columns, height / rows);
    }
    context.globalAlpha = 1;
    const outline = (patch, color, thick) => {
      if (patch < before) return;
      context.strokeStyle = color;
      context.lineWidth = thick;
      context.strokeRect(x(patch - before) + 1, y(patch - before) + 1, width / columns - 2, height / rows - 2);
    };
    if (!layer.isMean) outline(this.scene.query, "#0a5ca8", 3);
    outline(this.hover ?? -1, "#1b1f24", 1.5);
    context.restore();
  }

  patchAt(number, event) {
    const { canvas } = this.places[number];
    const box = canvas.getBoundingClientRect();
    const { rows, columns, before } = this.picture;
    const column = Math.floor((event.clientX - box.left) / box.width * columns);
    const row = Math.floor((event.clientY - box.top) / box.height * rows);
    const inside = column >= 0 && column < columns && row >= 0 && row < rows;
    return inside ? before + row * columns + column : -1;
  }

  /** Say the weights of the patch under the pointer. */
  point(patch) {
    if (!this.layers || patch === this.hover) return;
    this.hover = patch;
    const { keyText } = this.scene.about();
    const words = ["attended by ", "on average ", "rollout "];
    this.readout.replaceChildren(...(patch < 0 ? [] : [el("b", {}, keyText.shown[patch]), ": ",
      this.layers.flatMap(({ values }, i) => (values ? [`${words[i]}${i ? "" : `${this.name} `}${formatWeight(values[patch])}`] : [])).join(" · ")]));
    this.redraw();
  }

  /** The numbers of all positions, the greatest first. */
  rows() {
    const { keyText } = this.scene.about();
    const [of, ...others] = this.layers.map(({ values }) => values);
    const order = Array.from(of.keys()).sort((a, b) => Math.abs(of[b]) - Math.abs(of[a]));
    return order.map((key) => [key, keyText.shown[key], of[key], ...others.map((values) => values?.[key] ?? null)]);
  }

  listed() {
    const rows = this.layers ? this.rows().slice(0, PATCHES_LISTED) : [];
    const heads = ["position", "key", "weight", "mean", "rollout"].map((text) => headCell(text));
    return tableBox("Weights of patches", heads, rows.map(([key, label, ...values]) => el("tr", {}, numberCell(key),
      el("td", { className: "token" }, isolated(label)), ...values.map((value) => numberCell(formatWeight(value))))));
  }

  /** All images as one picture, to be saved. */
  sheet() {
    const shown = this.layers.filter(({ values }) => values);
    const { width, height } = this.image;
    const scale = 2 * IMAGE_SIDE / Math.max(width, height);
    const [wide, high, gap] = [width * scale, height * scale, IMAGE_GAP];
    const canvas = el("canvas");
    canvas.width = shown.length * (wide + gap);
    canvas.height = high + 40;
    const context = canvas.getContext("2d");
    const colors = themeColors();
    context.fillStyle = colors.ground;
    context.fillRect(0, 0, canvas.width, canvas.height);
    shown.forEach((layer, i) => {
      context.fillStyle = colors.ink;
      context.font = "20px sans-serif";
      context.fillText(`${layer.what}, up to ${formatWeight(this.greatest(layer)[0])}`, i * (wide + gap), 24, wide);
      this.paint(context, layer, i * (wide + gap), 40, scale);
    });
    return canvas;
  }
}

/** What each key gets, on average over all queries. */
export function meanRow(weights) {
  const sums = new Float32Array(weights.columns);
  for (let r = 0; r < weights.rows; r++) weights.row(r).forEach((weight, c) => { sums[c] += weight / weights.rows; });
  return sums;
}
