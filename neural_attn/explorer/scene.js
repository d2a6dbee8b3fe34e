// What the selection means: which head, which tokens, which groups of them.

import { boundOf, evenShare, findSinks, greatestOf, groupAllowed, makeAxis, segmentsOf, tileView, transform } from "./transform.js";
import { Reduced } from "./payload.js";

export const KINDS = {
  encoder_self: "self-attention",
  decoder_self: "decoder self-attention",
  cross: "cross-attention",
};
/** The same where there is no room. */
export const KINDS_SHORT = { encoder_self: "enc", decoder_self: "dec", cross: "cross" };

/** To one digit, and never less than it is. */
export function roundedUp(error) {
  const unit = 10 ** Math.floor(Math.log10(error));
  return (Math.ceil(error / unit - 1e-6) * unit).toPrecision(1);
}

/** Answers questions about the selected example, for every view alike. */
export class Scene {
  constructor(payload, store) {
    this.payload = payload;
    this.store = store;
    this.views = new Map();
    this.kept = new Map();
  }

  get state() { return this.store.state; }

  get header() { return this.payload.header; }

  get source() { return this.header.sources[this.state.source]; }

  get map() { return this.source.maps[this.state.map]; }

  /** The example, its texts and where they start, of the selected map or another. */
  about({ source = this.state.source, map = this.state.map } = {}) {
    const whole = this.header.sources[source].maps[map];
    const number = Math.min(this.state.example, whole.examples.length - 1);
    const example = whole.examples[number];
    return {
      source, map, whole, example, number,
      queryText: this.header.texts[example.query_text],
      keyText: this.header.texts[example.key_text],
    };
  }

  /** The texts of a pair, told apart; null where there is one text. */
  segments(about = this.about()) {
    const { example, keyText, queryText, whole } = about;
    if (whole.kind === "cross") return null;
    const keys = segmentsOf(keyText, example.key_start, example.columns);
    const queries = segmentsOf(queryText, example.query_start, example.rows);
    return keys && queries ? { keys, queries } : null;
  }

  /** Units that a reduced head is kept by beside tokens; null for a head kept in full. */
  reducedUnits({ example }, head = this.state.head) {
    return example.form === "reduced" && example.exact_heads[head] === undefined ? example.units : null;
  }

  /** Whether weights of a map may be below 0. */
  isSigned(map = this.state.map, source = this.state.source) {
    return this.header.sources[source].maps[map].rows === "signed";
  }

  /** The ramp of a map: the one with two sides for signed weights. */
  paletteOf(map = this.state.map, source = this.state.source) {
    return this.isSigned(map, source) ? "difference" : this.state.palette;
  }

  /** The end of a scale of colours: noise on a scale of its own looks like a finding. */
  topOf(greatest, source = this.state.source) {
    return this.header.sources[source].trained === false ? Math.max(1, greatest) : greatest;
  }

  /** How a head is shown: as the state says, less what needs weights that are not there. */
  options(about = this.about(), head = this.state.head) {
    const units = this.reducedUnits(about, head);
    const { rows = "shares" } = about.whole;
    const { unit, special, pair } = this.state;
    // Sinks are told by shares of rows, and signed rows have no sum to divide by.
    const sinks = this.state.sinks && rows === "shares";
    const renormalize = this.state.renormalize && rows !== "signed";
    return units
      ? { unit: units[unit] ? unit : "token", special: false, sinks: false, pair: "all", renormalize: false }
      : { unit, special, sinks, pair, renormalize };
  }

  /** Rows and columns as they are shown. @param {number[]} sinks */
  axes(about, sinks, { unit, special, pair } = this.options(about)) {
    // The same for all heads of a text, so that who draws them can tell.
    const { query_text, key_text, query_start, key_start, rows, columns } = about.example;
    const memo = [about.whole.kind, query_text, key_text, query_start, key_start, rows, columns, unit, special, pair, sinks].join();
    if (this.kept.size > 64) this.kept.clear();
    if (!this.kept.has(memo)) this.kept.set(memo, this.makeAxes(about, sinks, unit, special, pair));
    return this.kept.get(memo);
  }

  makeAxes(about, sinks, unit, special, pair) {
    const { example, queryText, keyText } = about;
    const parts = pair === "all" ? null : this.segments(about);
    const wanted = { A: 0, B: 1 };
    const hide = (text, start, segments, letter, drop) => (position) => (
      (special && text.special[start + position] === 1)
      || (parts !== null && segments[position] !== wanted[letter])
      || drop.has(position));
    const rows = makeAxis(queryText, example.query_start, example.rows, {
      unit, hidden: hide(queryText, example.query_start, parts?.queries, pair[0], new Set()),
    });
    const columns = makeAxis(keyText, example.key_start, example.columns, {
      unit, hidden: hide(keyText, example.key_start, parts?.keys, pair[1], new Set(sinks)),
    });
    return { rows, columns };
  }

  /** The matrix of a head as it is shown, and what it was made from; kept for a while. */
  async view({ head = this.state.head, ...where } = {}) {
    const about = this.about(where);
    const key = this.viewKey(about, head);
    if (!this.views.has(key)) {
      if (this.views.size > 24) this.views.clear();
      this.views.set(key, this.makeView(about, head));
    }
    return this.views.get(key);
  }

  /** What a view depends on. */
  viewKey(about, head) {
    return [about.source, about.map, about.number, head, ...Object.values(this.options(about, head))].join();
  }

  async makeView(about, head) {
    const view = await this.matrixOf(about, head);
    return { ...view, greatest: this.topOf(view.greatest, about.source) };
  }

  async matrixOf(about, head) {
    const { source, map, number, example } = about;
    const options = this.options(about, head);
    const signed = this.isSigned(map, source);
    const palette = signed ? "difference" : undefined; // else as the reader chose
    if (options.unit !== "token" && this.reducedUnits(about, head)) return { ...await this.groupedView(about, head, options), signed, palette };
    const weights = await this.payload.head(source, map, number, head);
    if (weights instanceof Reduced) {
      const starts = [example.query_start, example.key_start];
      const tiles = tileView(weights, about.queryText, about.keyText, starts);
      return { ...tiles, about, weights, sinks: [], signed, palette };
    }
    const allowed = await this.payload.allowed(source, map, number, head);
    const found = options.sinks ? findSinks(weights.all(), weights.rows, weights.columns) : [];
    const { rows, columns } = this.axes(about, found, options);
    const shown = transform(weights, allowed, rows, columns, options.renormalize);
    const { rows: promised = "shares" } = about.whole;
    const spread = options.unit === "token" && ["shares", "parts"].includes(promised);
    const even = !spread ? NaN : options.renormalize ? evenShare(shown.allowed, columns.labels.length, rows.members.keys())
      : evenShare(allowed, weights.columns, rows.members.flat());
    const { renormalize } = options;
    const off = () => boundOf(weights, allowed, rows, columns, { renormalize, shares: promised === "shares" });
    return { ...shown, about, weights, sinks: found, signed, palette, even, off };
  }

  /** Whether a head is shown as the network computed it, with nothing hidden or grouped. */
  isWhole(about = this.about(), head = this.state.head) {
    const { unit, special, sinks, pair, renormalize } = this.options(about, head);
    return unit === "token" && !special && !sinks && pair === "all" && !renormalize;
  }

  /** Whether tokens may be hidden that the analysis, of all of them, speaks of. */
  get hides() {
    const { special, sinks, pair } = this.options();
    const { queryText, keyText } = this.about();
    return (special && [queryText, keyText].some((text) => text.special.includes(1))) || sinks || pair !== "all";
  }

  /** A reduced head by words or sentences. */
  async groupedView(about, head, options) {
    const { source, map, number, example } = about;
    const axes = this.axes(about, [], options);
    const sizes = [axes.rows.labels.length, axes.columns.labels.length];
    const weights = await this.payload.grouped(source, map, number, head, options.unit, ...sizes);
    const allowed = await this.payload.allowed(source, map, number, head);
    const open = allowed && groupAllowed(allowed, example.columns, axes.rows, axes.columns);
    return { ...axes, values: weights.all(), allowed: open, greatest: greatestOf(weights.scales ?? weights.values), about, weights, sinks: [] };
  }

  /** Whether what is shown is what the network computed, cell by cell. */
  get isPlain() {
    const { unit, renormalize } = this.options();
    return unit === "token" && !renormalize;
  }

  /**
   * The query that is shown: the selected one; views of one query alone, where none is, show
   * the first of the text, or of an image its class token, else a patch in the middle.
   */
  get query() {
    const { query, view } = this.state;
    if (query >= 0 || !["token", "image"].includes(view)) return query;
    const { queryText, example } = this.about();
    const picture = view === "image" && this.header.pictures[example.picture];
    if (picture) {
      const { before, rows, columns } = picture;
      return before ? 0 : Math.floor(rows / 2) * columns + Math.floor(columns / 2);
    }
    const special = queryText.special.slice(example.query_start, example.query_start + example.rows);
    return Math.max(special.indexOf(0), 0);
  }

  /** The selected query as a group of a view; -1 without one. */
  queryGroup(view) {
    const { query } = this.state;
    return query >= 0 && query < view.rows.of.length ? view.rows.of[query] : -1;
  }

  keyGroup(view) {
    const { key } = this.state;
    return key >= 0 && key < view.columns.of.length ? view.columns.of[key] : -1;
  }

  /** "Layer 3 · head 7", with the kind where a layer has several. */
  headName({ source = this.state.source, map = this.state.map, head = this.state.head } = {}) {
    const { maps } = this.header.sources[source];
    const one = maps[map];
    const parts = maps.filter((other) => other.layer === one.layer).length > 1;
    return `Layer ${one.layer}${parts ? ` ${KINDS[one.kind]}` : ""} · head ${one.heads[head]}`;
  }

  /** The measure that is shown first, if any head has it. */
  get mainMeasure() { return this.header.measures.find((measure) => measure.main); }

  /** What the analysis says of a head, or its main measure alone. */
  sentence({ source = this.state.source, map = this.state.map, head = this.state.head } = {}) {
    const said = this.header.sources[source].maps[map].sentences?.[head];
    if (said) return said;
    const main = this.mainMeasure;
    const value = main && this.about({ source, map }).example.measures[main.key]?.[head];
    return value === null || value === undefined ? "" : `${main.label.toLowerCase()} ${value.toFixed(2)}`;
  }

  /** How far a weight of a view may be off, as a share of what is left of its row; null where nothing is. */
  shownBound(view) {
    if (!view?.off || this.isWhole(view.about)) return null;
    view.bound ??= view.off(); // of a long text it takes longer than drawing: once
    return view.bound;
  }

  /** How far a shown value may be off: for one cell of one head, else the bound. */
  errorText(view, row, column) {
    if (!this.payload.precision(view.about.source, view.about.map).shares.length) return "";
    if (view.tiles || !this.isPlain) return " (8-bit)";
    const error = view.weights.error(view.rows.members[row][0], view.columns.members[column][0]);
    return error ? ` ± ${roundedUp(error)}` : "";
  }
}
