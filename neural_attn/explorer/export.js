// The view as a file: PNG and SVG for papers, CSV for its numbers.

import { el, themeColors } from "./dom.js";
import { linksOf } from "./head.js";
import { difference } from "./compare.js";
import { channels, placeOf, ramp } from "./colors.js";
import { paintValues } from "./model.js";
import { greatestOf } from "./transform.js";
import { gridSvg, linesSvg, matrixSvg, pictureSvg } from "./svg.js";
import { short } from "./measures.js";

/** A cell of CSV; text that a spreadsheet would run as a formula is quoted apart. */
export function csvCell(value) {
  if (typeof value === "number") return String(value);
  let text = String(value ?? "");
  if (/^[=+\-@\t\r]./su.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export const toCsv = (rows) => rows.map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";

/** Weights as far as they are known: the rest of the digits would be made up. */
const digits = (value) => Number(value.toPrecision(7));

export class Exporter {
  /** @param {object} views the views by name */
  constructor(scene, views) {
    this.scene = scene;
    this.views = views;
  }

  get title() {
    const { state, header } = this.scene;
    const titles = {
      model: "All heads", measures: this.views.measures.measure?.label ?? "Metrics",
      token: `Strongest keys of ${this.views.token.token ?? ""}`, compare: `Compare: ${this.scene.headName()}`,
      steps: this.views.steps.heading.textContent,
      image: `What ${this.views.image.name ?? ""} attends to: ${this.scene.headName()}`,
    };
    return `${header.title} – ${titles[state.view] ?? this.scene.headName()}`;
  }

  name(extension) {
    const { map, state } = this.scene;
    const where = ["matrix", "head", "compare", "image"].includes(state.view) ? `_layer${map.layer}_head${map.heads[state.head]}` : "";
    return `attention_${state.view}${where}.${extension}`;
  }

  /** Rows of the CSV of the view. */
  async rows() {
    const { state, source } = this.scene;
    if (state.view === "model" || state.view === "measures") {
      const { measures } = this.views.measures;
      const heads = source.maps.flatMap((map, place) => map.heads.map((number, head) => [
        map.name, map.layer, map.kind, number, ...measures.map(({ key }) => this.views.measures.value(key, place, head) ?? "")]));
      return [["map", "layer", "kind", "head", ...measures.map((m) => m.key)], ...heads];
    }
    if (state.view === "token") {
      const rows = this.views.token.entries.flatMap((entry) => Array.from(entry.row, (weight, i) => [
        entry.layer, entry.kind, entry.number, entry.columns.members[i][0], entry.columns.labels[i], digits(weight)]));
      return [["layer", "kind", "head", "key", "key_token", "weight"], ...rows];
    }
    if (state.view === "steps") return this.views.steps.rows();
    if (state.view === "image") {
      const rows = this.views.image.rows().map(([key, label, ...values]) => [key, label, ...values.map((value) => (value === null ? "" : digits(value)))]);
      return [["position", "key", "weight", "mean_over_queries", "rollout"], ...rows];
    }
    const view = await this.scene.view();
    const values = state.view === "compare" ? this.views.compare.shown?.delta ?? view.values : view.values;
    const width = view.columns.labels.length;
    const rows = view.rows.labels.map((label, r) => [view.rows.members[r][0], label,
      ...Array.from(values.subarray(r * width, (r + 1) * width), digits)]);
    return [["query", "token", ...view.columns.labels], ...rows];
  }

  async svg() {
    const { state } = this.scene;
    const colors = themeColors();
    const how = { title: this.title, notes: this.scene.notes ?? [], palette: state.palette, scale: state.scale };
    if (state.view === "model") return pictureSvg(this.views.model.picture(), this.title, colors);
    if (state.view === "image") return pictureSvg(this.views.image.sheet(), this.title, colors);
    if (state.view === "steps") return gridSvg(this.title, this.views.steps.lines(), state.palette, colors);
    if (state.view === "measures") return gridSvg(this.title, this.measureLines(), state.palette, colors);
    if (state.view === "token") return gridSvg(this.title, this.tokenLines(), state.palette, colors);
    if (state.view === "head") {
      const views = await Promise.all(this.views.head.heads.map((head) => this.scene.view({ head })));
      const links = views.map((view) => linksOf(view, this.scene));
      return linesSvg({ ...how, links, signed: views[0].signed, row: this.scene.queryGroup(links[0]) }, colors);
    }
    const view = await this.scene.view();
    const shown = state.view === "compare" ? await this.differenceView(view) : view;
    return matrixSvg(shown, { ...how, palette: shown.palette ?? how.palette, image: this.image(shown, colors) }, colors);
  }

  /** The difference as a signed matrix; or the view, if there is none. */
  async differenceView(view) {
    const delta = this.views.compare.shown && difference(...this.views.compare.shown.views);
    if (!delta) return view;
    return { ...view, values: delta, greatest: greatestOf(delta), signed: true, palette: "difference", scale: "head" };
  }

  image(view, colors) {
    const canvas = el("canvas");
    const masked = channels(colors.masked);
    paintValues(canvas, { width: view.columns.labels.length, height: view.rows.labels.length,
      values: view.values, greatest: view.greatest, allowed: view.allowed },
    ramp(view.palette ?? this.scene.state.palette, colors.dark), { scale: view.scale ?? this.scene.state.scale, masked, signed: view.signed });
    return canvas.toDataURL("image/png");
  }

  measureLines() {
    const { maps } = this.scene.source;
    const { key } = this.views.measures.measure;
    const values = maps.map((map, place) => map.heads.map((_, head) => this.views.measures.value(key, place, head)));
    const known = values.flat().filter((value) => value !== null);
    const [least, most] = [Math.min(...known), Math.max(...known)];
    return values.map((row, place) => ({
      label: `layer ${maps[place].layer}`, cells: row.map(short),
      shares: row.map((value) => (value === null ? 0 : most > least ? (value - least) / (most - least) : 0.5)),
    }));
  }

  tokenLines() {
    const { entries } = this.views.token;
    return [...new Set(entries.map((entry) => entry.map))].map((place) => {
      const mine = entries.filter((entry) => entry.map === place);
      return {
        label: `layer ${mine[0].layer}`,
        cells: mine.map((entry) => entry.columns.labels[entry.best]),
        palette: this.scene.paletteOf(place),
        shares: mine.map((entry) => placeOf(entry.row[entry.best], 1, this.scene.state.scale, this.scene.isSigned(place))),
      };
    });
  }

  /** The view as pixels, twice as fine as the SVG that it is drawn from. */
  async png() {
    const image = new Image();
    // Not a blob: the policy of a notebook around us may let in data alone.
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(await this.svg())}`;
    await image.decode();
    const scale = Math.min(2, 8000 / Math.max(image.width, image.height));
    const canvas = el("canvas");
    canvas.width = Math.round(image.width * scale);
    canvas.height = Math.round(image.height * scale);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  }

  async save(kind) {
    const make = {
      csv: async () => new Blob(["\ufeff", toCsv(await this.rows())], { type: "text/csv" }),
      svg: async () => new Blob([await this.svg()], { type: "image/svg+xml" }),
      png: () => this.png(),
    };
    const blob = await make[kind]();
    const url = URL.createObjectURL(blob);
    const link = el("a", { href: url, download: this.name(kind) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
    return `Saved ${this.name(kind)}`;
  }
}

