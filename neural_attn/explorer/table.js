// The numbers behind a picture as a table, for screen readers and for copying.

import { cssColor, inkOn } from "./colors.js";
import { el, formatWeight, hint, isolated } from "./dom.js";

/** A whole matrix is shown up to so many cells, else one query at a time. */
const MOST_CELLS = 1600;
const MOST_ROWS = 200;

/** A heading: text, or the button that sorts by it. */
export function headCell(content, { scope = "col", className = "" } = {}) {
  const cell = el("th", { scope, className });
  cell.append(content);
  return cell;
}

export const numberCell = (content) => el("td", { className: "number" }, String(content));

function region(label, className, ...content) {
  return el("div", { className, tabIndex: 0, role: "region", "aria-label": label }, ...content);
}

/** A table in a box that scrolls and that the keyboard reaches. */
export function tableBox(label, headings, rows) {
  return region(label, "tablebox", el("table", {}, caption(label), head(...headings), el("tbody", {}, ...rows)));
}

/** Layers by heads, in coloured cells. @param {HTMLElement[]} rows of `gridRow` */
export function grid(label, heads, rows) {
  const headings = ["layer", ...Array(heads).keys()].map((text) => headCell(String(text)));
  return region(label, "scroll", el("table", { className: "grid" }, caption(label), head(...headings), el("tbody", {}, ...rows)));
}

/** @param {{content: Node | string, label: string, share: number, chosen: boolean, choose: () => void}[]} cells */
export function gridRow(layer, cells, colors) {
  return el("tr", {}, headCell(layer, { scope: "row" }), ...cells.map(({ content, label, title, share, chosen, choose }) => {
    const button = el("button", { title: title ?? "", "aria-label": label, "aria-pressed": String(chosen) }, content);
    button.style.background = cssColor(colors, share);
    button.style.color = inkOn(colors, share);
    button.onclick = choose;
    return el("td", {}, button);
  }));
}

/** A closed `details` that fills itself when it is opened. */
export function dataTable(make) {
  const box = region("Data table", "tablebox");
  const details = el("details", {}, el("summary", { textContent: "Data table" }), box);
  const fill = () => { if (details.open) box.replaceChildren(...make()); };
  details.addEventListener("toggle", fill);
  return { element: details, refresh: fill };
}

const head = (...cells) => el("thead", {}, el("tr", {}, ...cells));
const caption = (text) => el("caption", { className: "unseen", textContent: text });

/** Tables for a view of one head. */
export function matrixTables(view, group) {
  if (view.tiles) return [hint("Too long for a table: save it as CSV.")];
  const width = view.columns.labels.length;
  const cell = (r, c) => {
    const hidden = view.allowed && !view.allowed[r * width + c];
    return numberCell(hidden ? "masked" : formatWeight(view.values[r * width + c]));
  };
  if (view.values.length <= MOST_CELLS) {
    const rows = view.rows.labels.map((label, r) => el("tr", {}, headCell(isolated(label), { scope: "row" }),
      ...view.columns.labels.map((_, c) => cell(r, c))));
    return [el("table", {}, el("caption", { textContent: "Rows: queries. Columns: keys." }),
      head(headCell("query"), ...view.columns.labels.map((label) => headCell(isolated(label)))), el("tbody", {}, ...rows))];
  }
  const row = Math.max(group, 0);
  const order = view.columns.labels.map((_, c) => c)
    .sort((a, b) => Math.abs(view.values[row * width + b]) - Math.abs(view.values[row * width + a])).slice(0, MOST_ROWS);
  const rows = order.map((c) => el("tr", {}, numberCell(view.columns.members[c][0]),
    el("td", { className: "token" }, isolated(view.columns.labels[c])), cell(row, c)));
  const title = el("caption", {}, "Keys of query ", isolated(view.rows.labels[row]),
    `, the strongest ${order.length} of ${width}. Choose another query above; the CSV has all.`);
  return [el("table", {}, title, head(...["position", "key", "weight"].map((text) => headCell(text))), el("tbody", {}, ...rows))];
}
