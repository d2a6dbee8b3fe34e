// Every measure of every head: as a heatmap of layers and heads, and as a table.

import { el, isDark } from "./dom.js";
import { cssColor, inkOn, ramp } from "./colors.js";
import { KINDS } from "./scene.js";

const DIFFERENCES = [
  { key: "divergence", label: "Divergence", help: "Mean Jensen-Shannon divergence from the other model, in nats: 0 is equal, 0.693 has nothing in common." },
  { key: "largest", label: "Largest difference", help: "Greatest absolute difference from the other model's weights." },
];

/** A number of a measure, short. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && size < 0.0005) return value.toExponential(0);
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(size >= 1 ? 2 : 3);
}

/** The panel of measures. */
export class MeasuresView {
  constructor(scene, panel) {
    this.scene = scene;
    this.panel = panel;
    this.order = { key: "layer", up: true };
  }

  /** The measures there are: with a second model, how far it is away too. */
  get measures() {
    const { comparison, measures } = this.scene.header;
    return comparison && this.scene.state.source === 0 ? [...measures, ...DIFFERENCES] : measures;
  }

  /** The value of a measure for a head, or null. */
  value(key, map, head) {
    const { example, number } = this.scene.about({ map });
    if (DIFFERENCES.some((measure) => measure.key === key)) {
      return this.scene.header.comparison[map]?.examples?.[number]?.[key][head] ?? null;
    }
    return example.measures[key]?.[head] ?? null;
  }

  show() {
    const { state } = this.scene;
    this.measure = this.measures.find((one) => one.key === state.measure) ?? this.measures[0];
    const choose = el("select", { id: "measure" },
      ...this.measures.map((one) => el("option", { value: one.key, textContent: one.label })));
    choose.value = this.measure.key;
    choose.addEventListener("change", () => this.scene.store.set({ measure: choose.value }));
    const focused = document.activeElement?.id;
    this.panel.replaceChildren(
      el("div", { className: "row" }, el("h2", { textContent: "Metrics of every head" }),
        el("label", { className: "field" }, "Measure ", choose)),
      el("p", { className: "hint", textContent: this.measure.help }),
      this.heatmap(), el("h2", { textContent: "All numbers" }), this.table());
    if (focused) this.panel.querySelector(`[id="${CSS.escape(focused)}"]`)?.focus();
  }

  heatmap() {
    const { maps } = this.scene.source;
    const { palette, map, head } = this.scene.state;
    const all = maps.flatMap((one, place) => one.heads.map((_, h) => this.value(this.measure.key, place, h)));
    const known = all.filter((value) => value !== null);
    const [least, most] = [Math.min(...known), Math.max(...known)];
    const table = ramp(palette, isDark());
    const width = Math.max(...maps.map((one) => one.heads.length));
    const top = el("tr", {}, el("th", { textContent: "layer", scope: "col" }));
    for (let h = 0; h < width; h++) top.append(el("th", { textContent: String(h), scope: "col" }));
    const body = maps.map((one, place) => {
      const several = maps.filter((m) => m.layer === one.layer).length > 1;
      const line = el("tr", {}, el("th", { scope: "row", textContent: several ? `${one.layer} ${KINDS[one.kind]}` : String(one.layer) }));
      one.heads.forEach((_, h) => {
        const value = this.value(this.measure.key, place, h);
        const share = value === null ? 0 : most > least ? (value - least) / (most - least) : 0.5;
        const button = el("button", { type: "button", textContent: short(value) });
        button.setAttribute("aria-label", `${this.scene.headName({ map: place, head: h })}: ${short(value)}`);
        button.setAttribute("aria-pressed", String(place === map && h === head));
        button.style.background = cssColor(table, share);
        button.style.color = inkOn(table, share);
        button.addEventListener("click", () => this.scene.store.set({ map: place, head: h }));
        line.append(el("td", {}, button));
      });
      return line;
    });
    const made = el("table", { className: "grid" }, el("caption", { className: "unseen", textContent: this.measure.label }),
      el("thead", {}, top), el("tbody", {}, ...body));
    return el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": `${this.measure.label}, layers by heads` }, made);
  }

  /** One entry per head, in the order that was asked for. */
  sorted() {
    const { maps } = this.scene.source;
    const entries = maps.flatMap((one, map) => one.heads.map((number, head) => ({ map, head, number, layer: one.layer, kind: one.kind })));
    const { key, up } = this.order;
    const of = (entry) => (key === "layer" || key === "head" ? (key === "layer" ? entry.layer : entry.number) : this.value(key, entry.map, entry.head));
    const sign = up ? 1 : -1;
    return entries.sort((a, b) => {
      const [x, y] = [of(a), of(b)];
      // What is not defined comes last, either way.
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * (x - y) || a.map - b.map || a.head - b.head;
    });
  }

  table() {
    const columns = [{ key: "layer", label: "Layer" }, { key: "head", label: "Head" }, ...this.measures];
    const { map, head } = this.scene.state;
    const heads = columns.map(({ key, label, help }) => {
      const chosen = this.order.key === key;
      const mark = chosen ? (this.order.up ? " ▴" : " ▾") : "";
      const button = el("button", { type: "button", id: `sort-${key}`, textContent: label + mark, title: help ?? "" });
      button.addEventListener("click", () => {
        this.order = { key, up: chosen ? !this.order.up : key === "layer" || key === "head" };
        this.show();
      });
      const cell = el("th", { className: "number", scope: "col" }, button);
      if (chosen) cell.setAttribute("aria-sort", this.order.up ? "ascending" : "descending");
      return cell;
    });
    const rows = this.sorted().map((entry) => {
      const line = el("tr", { className: entry.map === map && entry.head === head ? "chosen" : "" });
      const open = el("button", { type: "button", textContent: String(entry.number) });
      open.setAttribute("aria-label", `Show ${this.scene.headName(entry)}`);
      open.addEventListener("click", () => this.scene.store.set({ map: entry.map, head: entry.head, view: "matrix" }));
      line.append(el("td", { className: "number", textContent: entry.layer }), el("td", { className: "number" }, open));
      for (const { key } of this.measures) {
        line.append(el("td", { className: "number", textContent: short(this.value(key, entry.map, entry.head)) }));
      }
      return line;
    });
    const made = el("table", {}, el("caption", { className: "unseen", textContent: "All measures of all heads" }),
      el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows));
    return el("div", { className: "tablebox", tabIndex: 0, role: "region", "aria-label": "All measures of all heads" }, made);
  }
}
