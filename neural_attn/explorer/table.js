// The numbers behind a picture as a table, for screen readers and for copying.

import { el, formatWeight, isolated } from "./dom.js";

/** A whole matrix is shown up to so many cells, else one query at a time. */
const MOST_CELLS = 1600;
const MOST_ROWS = 200;

/** A closed `details` that fills itself when it is opened. */
export function dataTable(make) {
  const box = el("div", { className: "tablebox", tabIndex: 0, role: "region", "aria-label": "Data table" });
  const details = el("details", {}, el("summary", { textContent: "Data table" }), box);
  const fill = () => { if (details.open) box.replaceChildren(...make()); };
  details.addEventListener("toggle", fill);
  return { element: details, refresh: fill };
}

const head = (...cells) => el("thead", {}, el("tr", {}, ...cells));
const th = (content, scope = "col") => {
  const cell = el("th", { scope });
  cell.append(content);
  return cell;
};

/** Tables for a view of one head. */
export function matrixTables(view, group) {
  if (view.tiles) return [el("p", { className: "hint", textContent: "Too long for a table: save CSV." })];
  const width = view.columns.labels.length;
  const cell = (r, c) => {
    const hidden = view.allowed && !view.allowed[r * width + c];
    return el("td", { className: "number", textContent: hidden ? "masked" : formatWeight(view.values[r * width + c]) });
  };
  if (view.values.length <= MOST_CELLS) {
    const rows = view.rows.labels.map((label, r) => el("tr", {}, th(isolated(label), "row"),
      ...view.columns.labels.map((_, c) => cell(r, c))));
    return [el("table", {}, el("caption", { textContent: "Rows: queries. Columns: keys." }),
      head(th("query"), ...view.columns.labels.map((label) => th(isolated(label)))), el("tbody", {}, ...rows))];
  }
  const row = Math.max(group, 0);
  const order = view.columns.labels.map((_, c) => c)
    .sort((a, b) => view.values[row * width + b] - view.values[row * width + a]).slice(0, MOST_ROWS);
  const rows = order.map((c) => el("tr", {}, el("td", { className: "number", textContent: view.columns.members[c][0] }),
    el("td", { className: "token" }, isolated(view.columns.labels[c])), cell(row, c)));
  const caption = el("caption", {}, "Keys of query ", isolated(view.rows.labels[row]),
    `, the strongest ${order.length} of ${width}. Choose another query above; CSV has all.`);
  return [el("table", {}, caption, head(th("position"), th("key"), th("weight")), el("tbody", {}, ...rows))];
}
