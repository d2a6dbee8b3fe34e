// Two models, frameworks or texts side by side, and the difference of their weights.

import { el, formatWeight, hint, isolated, themeColors } from "./dom.js";
import { ramp } from "./colors.js";
import { paintValues } from "./model.js";
import { poolView } from "./axes.js";
import { greatestOf } from "./transform.js";
import { short } from "./measures.js";
import { headCell, numberCell, tableBox } from "./table.js";

const LISTED_HEADS = 30;

/** The difference of two views, cell by cell; null where they do not fit. */
export function difference(first, second) {
  const same = first.values.length === second.values.length
    && first.rows.labels.length === second.rows.labels.length;
  return same ? first.values.map((value, i) => value - second.values[i]) : null;
}

/** The panel of two models. */
export class CompareView {
  constructor(scene, panel) {
    this.scene = scene;
    this.panel = panel;
  }

  async show() {
    const { header, state } = this.scene;
    if (!header.comparison) return;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const pair = this.partners(state.source, state.map);
    if (!pair || pair.some((map, source) => state.head >= header.sources[source].maps[map].heads.length)) {
      this.panel.replaceChildren(el("h2", { textContent: "Compare" }),
        hint("The other model has no such map."));
      return;
    }
    const views = await Promise.all(pair.map((map, source) => this.scene.view({ source, map })));
    if (turn !== this.turn) return;
    const delta = difference(...views);
    this.shown = { views, delta };
    const labels = header.sources.map((source) => source.label);
    this.readout = el("p", { className: "readout" });
    this.hint();
    const top = Math.max(views[0].greatest, views[1].greatest);
    const cards = views.map((view, i) => this.card(labels[i], view, view.values, top));
    if (delta) {
      const apart = { ...views[0], signed: true, isDifference: true };
      cards.push(this.card(`${labels[0]} − ${labels[1]}`, apart, delta, greatestOf(delta)));
    }
    const reason = header.comparison[pair[0]].reason;
    this.panel.replaceChildren(
      el("h2", {}, this.scene.headName({ source: 0, map: pair[0] })),
      el("p", { className: "hint", textContent: delta ? "One scale for both; the difference has its own, with 0 in the middle." : `There is no difference to show: ${reason ?? "they differ in length"}.` }),
      this.readout, el("div", { className: "columns" }, ...cards), this.ranking());
  }

  /** Places of the map in both models. */
  partners(source, map) {
    const { comparison } = this.scene.header;
    const mine = source === 0 ? map : comparison.findIndex((entry) => entry.other === map);
    const other = comparison[mine]?.other;
    return mine < 0 || other === null || other === undefined ? null : [mine, other];
  }

  hint() {
    this.readout.replaceChildren(hint("Point at a cell to read both.", "span"));
  }

  card(label, view, values, most) {
    const { signed, isDifference } = view;
    const colors = themeColors();
    const { palette, scale } = this.scene.state;
    const rows = view.rows.labels.length;
    const columns = view.columns.labels.length;
    const canvas = el("canvas", { role: "img" });
    canvas.setAttribute("aria-label", `${label}: ${rows} queries by ${columns} keys`);
    const step = Math.max(1, Math.ceil(Math.max(rows, columns) / 512));
    paintValues(canvas, { ...poolView({ values, allowed: null }, rows, columns, step), greatest: most },
      ramp(signed ? "difference" : palette, colors.dark), { scale: isDifference ? "head" : scale, signed });
    canvas.style.imageRendering = "pixelated";
    canvas.style.width = "100%";
    canvas.style.aspectRatio = `${columns} / ${rows}`;
    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      const row = Math.min(rows - 1, Math.floor(((event.clientY - box.top) / box.height) * rows));
      const column = Math.min(columns - 1, Math.floor(((event.clientX - box.left) / box.width) * columns));
      if (row >= 0 && column >= 0) this.read(view, row, column);
    });
    canvas.addEventListener("pointerleave", () => this.hint());
    return el("div", {}, el("p", { className: "row" }, isolated(label),
      el("span", { className: "hint", textContent: signed ? `± ${formatWeight(most)}` : `0 to ${formatWeight(most)}` })),
    el("div", { className: "stage" }, canvas));
  }

  read(view, row, column) {
    const { views, delta } = this.shown;
    const width = view.columns.labels.length;
    const parts = ["query ", isolated(view.rows.labels[row]), " → key ", isolated(view.columns.labels[column]), ": "];
    if (!delta) {
      this.readout.replaceChildren(...parts, formatWeight(view.values[row * width + column]));
      return;
    }
    const [a, b] = views.map((one) => one.values[row * width + column]);
    const labels = this.scene.header.sources.map((source) => source.label);
    this.readout.replaceChildren(...parts, isolated(labels[0]), ` ${formatWeight(a)} · `, isolated(labels[1]), ` ${formatWeight(b)} · `,
      el("b", { textContent: `difference ${formatWeight(a - b)}` }));
  }

  /** The heads that differ most. */
  ranking() {
    const { comparison, differences, sources } = this.scene.header;
    const [first] = differences;
    const entries = comparison.flatMap((one, map) => {
      const example = one.examples?.[this.scene.state.example];
      return (example?.[first.key] ?? []).map((_, head) => ({ map, head, values: differences.map(({ key }) => example[key][head]) }));
    });
    // Signed heads have no divergence: they come behind, by their largest difference.
    entries.sort((a, b) => (b.values[0] ?? -1) - (a.values[0] ?? -1) || b.values[1] - a.values[1]);
    const rows = entries.slice(0, LISTED_HEADS).map(({ map, head, values }) => {
      const open = el("button", { textContent: this.scene.headName({ source: 0, map, head }) });
      open.onclick = () => this.scene.store.set({ source: 0, map, head });
      return el("tr", {}, el("td", {}, open), ...values.map((value) => numberCell(short(value))));
    });
    if (!rows.length) return el("span");
    const heads = [`Head of ${sources[0].label}`, ...differences.map(({ label }) => label)]
      .map((text, i) => headCell(text, { className: i ? "number" : "" }));
    const title = "Heads that differ most";
    return el("div", {}, el("h2", { textContent: title }), tableBox(title, heads, rows));
  }
}
