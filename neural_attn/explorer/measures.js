// Every measure of every head: as a heatmap of layers and heads, and as a table.

import { el, isDark } from "./dom.js";
import { ramp } from "./colors.js";
import { KINDS } from "./scene.js";
import { grid, gridRow, headCell, numberCell, tableBox } from "./table.js";

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
    const { differences, measures } = this.scene.header;
    return this.scene.state.source === 0 ? [...measures, ...differences] : measures;
  }

  /** The value of a measure for a head, or null. */
  value(key, map, head) {
    const { example, number } = this.scene.about({ map });
    const { comparison, differences } = this.scene.header;
    if (differences.some((measure) => measure.key === key)) {
      return comparison[map]?.examples?.[number]?.[key][head] ?? null;
    }
    return example.measures[key]?.[head] ?? null;
  }

  show() {
    const { state } = this.scene;
    this.measure = this.measures.find((one) => one.key === state.measure) ?? this.scene.mainMeasure ?? this.measures[0];
    const choose = el("select", { id: "measure" },
      ...this.measures.map((one) => el("option", { value: one.key, textContent: one.label })));
    choose.value = this.measure.key;
    choose.onchange = () => this.scene.store.set({ measure: choose.value });
    const focused = document.activeElement?.id;
    this.panel.replaceChildren(
      el("div", { className: "row" }, el("h2", { textContent: "Metrics of every head" }),
        el("label", { className: "field" }, "Measure ", choose)),
      el("p", { className: "hint", textContent: this.measure.help + this.undefinedHint() }),
      this.heatmap(), el("h2", { textContent: "All numbers" }), this.table());
    if (focused) this.panel.querySelector(`[id="${CSS.escape(focused)}"]`)?.focus();
  }

  /** Why some heads have no number of a measure. */
  undefinedHint() {
    const { maps } = this.scene.source;
    const without = maps.some((_, map) => this.scene.isSigned(map) && this.value(this.measure.key, map, 0) === null);
    return without ? " Not defined (–) for signed weights, which are not shares of attention." : "";
  }

  heatmap() {
    const { maps } = this.scene.source;
    const { palette, map, head } = this.scene.state;
    const all = maps.flatMap((one, place) => one.heads.map((_, h) => this.value(this.measure.key, place, h)));
    const known = all.filter((value) => value !== null);
    const [least, most] = [Math.min(...known), Math.max(...known)];
    const colors = ramp(palette, isDark());
    const rows = maps.map((one, place) => {
      const several = maps.filter((m) => m.layer === one.layer).length > 1;
      return gridRow(several ? `${one.layer} ${KINDS[one.kind]}` : String(one.layer), one.heads.map((_, h) => {
        const value = this.value(this.measure.key, place, h);
        return {
          content: short(value), label: `${this.scene.headName({ map: place, head: h })}: ${value === null ? "not defined" : short(value)}`,
          share: value === null ? 0 : most > least ? (value - least) / (most - least) : 0.5,
          chosen: place === map && h === head, choose: () => this.scene.store.set({ map: place, head: h }),
        };
      }), colors);
    });
    return grid(`${this.measure.label}, layers by heads`, Math.max(...maps.map((one) => one.heads.length)), rows);
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
      const button = el("button", { id: `sort-${key}`, textContent: label + mark, title: help ?? "" });
      button.addEventListener("click", () => {
        this.order = { key, up: chosen ? !this.order.up : key === "layer" || key === "head" };
        this.show();
      });
      const cell = headCell(button, { className: "number" });
      if (chosen) cell.setAttribute("aria-sort", this.order.up ? "ascending" : "descending");
      return cell;
    });
    const rows = this.sorted().map((entry) => {
      const line = el("tr", { className: entry.map === map && entry.head === head ? "chosen" : "" });
      const open = el("button", { textContent: String(entry.number) });
      open.setAttribute("aria-label", `Show ${this.scene.headName(entry)}`);
      open.onclick = () => this.scene.store.set({ map: entry.map, head: entry.head, view: "matrix" });
      line.append(numberCell(entry.layer), el("td", { className: "number" }, open),
        ...this.measures.map(({ key }) => numberCell(short(this.value(key, entry.map, entry.head)))));
      return line;
    });
    return tableBox("All metrics of all heads", heads, rows);
  }
}
