// One query: what every head of every layer makes of it.

import { el, formatWeight, hint, isDark, isolated } from "./dom.js";
import { cssColor, inkOn, placeOf, ramp } from "./colors.js";
import { grid, gridRow, headCell, numberCell, tableBox } from "./table.js";
import { addRow, findSinks, greatestOf, renormalizeRow } from "./transform.js";

const LISTED = 40;

/** The panel of one query over all layers and heads. */
export class TokenView {
  constructor(scene, panel) {
    this.scene = scene;
    this.panel = panel;
  }

  /** Every head's row of the query: maps whose queries are the selected map's. */
  async rows(position) {
    const { scene } = this;
    const { source } = scene;
    const mine = scene.about();
    const found = [];
    const work = [];
    source.maps.forEach((map, place) => {
      const about = scene.about({ map: place });
      if (about.example.query_text !== mine.example.query_text || about.example.rows <= position) return;
      map.heads.forEach((number, head) => {
        const entry = { map: place, layer: map.layer, head, number, kind: map.kind };
        found.push(entry);
        work.push(this.row(about, head, position).then(({ columns, row }) => {
          entry.columns = columns;
          if (!row) return;
          entry.row = row;
          const greatest = greatestOf(row);
          entry.best = row.findIndex((weight) => Math.abs(weight) === greatest);
        }));
      });
    });
    await Promise.all(work);
    return found.filter((entry) => entry.best !== undefined);
  }

  /** The row of a query in one head; none where the query is hidden. */
  async row(about, head, position) {
    const { scene } = this;
    const options = scene.options(about, head);
    const { source, map, number } = about;
    if (options.unit !== "token" && scene.reducedUnits(about, head)) {
      const { rows, columns, weights } = await scene.groupedView(about, head, options);
      return { columns, row: weights.row(rows.of[position]) };
    }
    const weights = await scene.payload.head(source, map, number, head);
    const sinks = options.sinks ? findSinks(weights.all(), weights.rows, weights.columns) : [];
    const { rows, columns } = scene.axes(about, sinks, options);
    const group = rows.of[position];
    if (group < 0) return { columns, row: null };
    const row = new Float32Array(columns.labels.length);
    const positions = rows.members[group];
    for (const p of positions) addRow(weights.row(p), columns, 1 / positions.length, row);
    if (options.renormalize) renormalizeRow(row);
    return { columns, row };
  }

  async show() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const position = this.scene.query;
    const entries = await this.rows(position);
    if (turn !== this.turn) return;
    this.entries = entries;
    const { queryText, example } = this.scene.about();
    const token = queryText.shown[example.query_start + position];
    this.token = token;
    const heading = el("h2", {}, "Where ", isolated(token), ` (${position}) attends, in every layer and head`);
    if (!entries.length) {
      this.panel.replaceChildren(heading, hint("This query is hidden by the filters."));
      return;
    }
    this.links = this.strongest(entries);
    const scrolled = this.panel.querySelector(".strip")?.scrollTop ?? 0;
    this.panel.replaceChildren(heading, this.strip(entries), this.grid(entries), this.list());
    this.panel.querySelector(".strip").scrollTop = scrolled;
  }

  strongest(entries) {
    const links = [];
    for (const entry of entries) {
      const ranked = Array.from(entry.row.keys()).sort((a, b) => Math.abs(entry.row[b]) - Math.abs(entry.row[a])).slice(0, 6);
      for (const key of ranked) if (entry.row[key] !== 0) links.push({ entry, key, weight: entry.row[key] });
    }
    return links.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).slice(0, LISTED);
  }

  /** The text as it is read, coloured by the mean over all heads; click to ask of another. */
  strip(entries) {
    const mine = entries.filter((entry) => entry.map === this.scene.state.map);
    const among = mine.length ? mine : entries;
    const { columns } = among[0];
    const sums = new Float32Array(columns.labels.length);
    // Means of weights that promise the same: signed ones are none of shares.
    const { maps } = this.scene.source;
    const { rows } = maps[among[0].map];
    const same = entries.filter((entry) => entry.row.length === sums.length
      && entry.kind === among[0].kind && maps[entry.map].rows === rows);
    for (const { row } of same) row.forEach((weight, i) => { sums[i] += weight / same.length; });
    const most = this.scene.topOf(greatestOf(sums));
    const { scale } = this.scene.state;
    const signed = rows === "signed";
    const table = ramp(this.scene.paletteOf(among[0].map), isDark());
    const cross = among[0].kind === "cross";
    const strip = el("div", { className: "strip", role: "group", tabIndex: 0 });
    strip.setAttribute("aria-label", "Keys, coloured by the mean weight over all heads");
    columns.labels.forEach((label, i) => {
      const share = placeOf(sums[i], most, scale, signed);
      const position = columns.members[i][0];
      const button = el("button", { title: `mean over ${same.length} heads: ${formatWeight(sums[i])}` }, isolated(label));
      button.style.background = cssColor(table, share);
      button.style.color = inkOn(table, share);
      button.classList.toggle("special", columns.special?.[i] ?? false);
      const chosen = !cross && columns.members[i].includes(this.scene.query);
      button.setAttribute("aria-pressed", String(chosen));
      button.tabIndex = -1;
      button.onclick = () => this.scene.store.set(cross ? { key: position } : { query: position });
      strip.append(button);
    });
    return strip;
  }

  /** Layers by heads; in each cell the head's strongest key. */
  grid(entries) {
    const { scale, map, head } = this.scene.state;
    const title = "Strongest key of each head";
    const rows = [...new Set(entries.map((entry) => entry.map))].map((place) => {
      const one = this.scene.source.maps[place];
      return gridRow(one.kind === "cross" ? `${one.layer} cross` : String(one.layer), entries.filter((e) => e.map === place).map((entry) => {
        const weight = entry.row[entry.best];
        const key = entry.columns.labels[entry.best];
        const said = `${this.scene.headName(entry)}: ${formatWeight(weight)}`;
        return {
          content: isolated(key), title: said, label: `${said} on ${key}`, share: placeOf(weight, 1, scale, this.scene.isSigned(place)),
          chosen: place === map && entry.head === head,
          choose: () => this.scene.store.set({ map: place, head: entry.head, key: entry.columns.members[entry.best][0] }),
        };
      }), ramp(this.scene.paletteOf(place), isDark()));
    });
    const signed = entries.some((entry) => this.scene.isSigned(entry.map)) ? ", of signed ones from -1 to 1" : "";
    const most = Math.max(...entries.map((entry) => entry.head)) + 1;
    return el("div", {}, hint(`${title}; colour: its weight, from 0 to 1${signed}.`), grid(title, most, rows));
  }

  list() {
    const most = Math.abs(this.links[0]?.weight ?? 1);
    const rows = this.links.map(({ entry, key, weight }) => {
      const bar = el("span", { className: "bar" });
      bar.style.width = `${Math.max(2, 60 * Math.abs(weight) / most)}px`;
      return el("tr", {}, numberCell(entry.layer), numberCell(entry.number),
        el("td", { className: "token" }, isolated(entry.columns.labels[key])), el("td", {}, bar, formatWeight(weight)));
    });
    const heads = ["Layer", "Head", "Key", "Weight"].map((text, i) => headCell(text, { className: i < 2 ? "number" : "" }));
    const title = "Strongest links of all heads";
    return el("div", {}, hint(title), tableBox(title, heads, rows));
  }
}
