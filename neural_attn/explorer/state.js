// What is selected: one object that every view shows, and that fits into a link.

export const VIEWS = ["model", "matrix", "head", "token", "measures", "compare", "image", "steps"];
const UNITS = ["token", "word", "sentence"];
const PAIRS = ["all", "AA", "AB", "BA", "BB"];

/** `head` is a position in its map, `query` and `key` are positions of tokens; measure "" is the main one. */
export const DEFAULTS = {
  source: 0, example: 0, map: 0, head: 0, query: -1, key: -1, step: 0, mean: true, view: "matrix",
  others: [], unit: "token", special: false, sinks: false, renormalize: false,
  pair: "all", scale: "sqrt", palette: "viridis", measure: "", order: "layer",
};

/** The head to open on where no link names one: what the page was made for, else what stands out. */
export function opening({ opens, sources }, hash) {
  if (/\b(model|layer|head)=/.test(hash)) return {};
  const [map, head] = opens ?? sources[0].highlights.find(({ heads }) => heads.length)?.heads[0] ?? [0, 0];
  return { map, head };
}

/** Holds the state; tells listeners (state, changed names). */
export class Store {
  constructor(state) {
    this.state = { ...DEFAULTS, ...state };
    this.listeners = [];
  }

  set(patch) {
    const changed = new Set(Object.keys(patch).filter((k) => this.state[k] !== patch[k]));
    if (!changed.size) return;
    this.state = { ...this.state, ...patch };
    for (const listener of this.listeners) listener(this.state, changed);
  }
}

/** Bring a state into what the header has; whatever does not fit becomes the nearest. */
export function clampState(state, header) {
  const within = (value, length) => Math.min(Math.max(value | 0, 0), length - 1);
  const source = within(state.source, header.sources.length);
  const { maps } = header.sources[source];
  const map = within(state.map, maps.length);
  const example = within(state.example, maps[map].examples.length);
  const { rows, columns, picture } = maps[map].examples[example];
  const writtenSteps = header.sources[source].written?.[example]?.steps.length;
  const absent = { compare: header.sources.length < 2, image: picture === undefined, steps: !writtenSteps };
  return {
    ...state, source, map, example,
    head: within(state.head, maps[map].heads.length),
    others: state.others.filter((head) => head < maps[map].heads.length),
    query: Math.min(state.query, rows - 1),
    key: Math.min(state.key, columns - 1),
    step: within(state.step, writtenSteps || 1),
    view: absent[state.view] ? "matrix" : state.view,
  };
}

/** The state as `#layer=3&head=7&query=12`; numbers are those of the network. */
export function toHash(state, header) {
  const map = header.sources[state.source].maps[state.map];
  const fields = new URLSearchParams();
  const put = (name, value, usual) => { if (value !== usual) fields.set(name, value); };
  put("model", state.source, 0);
  put("example", state.example, 0);
  fields.set("layer", map.layer);
  const alone = header.sources[state.source].maps.filter((m) => m.layer === map.layer);
  if (alone.length > 1) fields.set("kind", map.kind);
  fields.set("head", map.heads[state.head]);
  put("query", state.query, -1);
  put("key", state.key, -1);
  put("step", state.step, 0);
  put("mean", Number(state.mean), 1);
  put("view", state.view, DEFAULTS.view);
  put("with", state.others.map((head) => map.heads[head]).join(" "), "");
  put("unit", state.unit, "token");
  put("pair", state.pair, "all");
  const { scale, ...flags } = header.shows;
  for (const [flag, usual] of Object.entries(flags)) put(flag, Number(state[flag]), Number(usual));
  put("scale", state.scale, scale);
  put("palette", state.palette, DEFAULTS.palette);
  put("measure", state.measure, DEFAULTS.measure);
  put("order", state.order, DEFAULTS.order);
  return `#${fields}`;
}

/** The part of the state that a link says; nonsense in it is left out. */
export function fromHash(hash, header) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const state = {};
  const number = (name) => {
    const text = fields.get(name);
    return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
  };
  const choice = (name, among) => {
    if (among.includes(fields.get(name))) state[name] = fields.get(name);
  };
  const source = header.sources[number("model") ?? 0] ?? header.sources[0];
  state.source = header.sources.indexOf(source);
  const layer = number("layer");
  if (layer !== undefined) {
    const parts = source.maps.filter((map) => map.layer === layer);
    const map = parts.find((part) => part.kind === fields.get("kind")) ?? parts[0];
    if (map) state.map = source.maps.indexOf(map);
  }
  const { heads } = source.maps[state.map ?? 0];
  const position = (head) => heads.indexOf(head);
  const head = number("head");
  if (head !== undefined && position(head) >= 0) state.head = position(head);
  const others = (fields.get("with") ?? "").split(" ").filter((text) => /^\d+$/.test(text));
  if (others.length) state.others = others.map((t) => position(Number(t))).filter((p) => p >= 0);
  for (const name of ["example", "query", "key", "step"]) {
    const value = number(name);
    if (value !== undefined) state[name] = value;
  }
  choice("view", VIEWS);
  choice("unit", UNITS);
  choice("pair", PAIRS);
  choice("scale", ["head", "sqrt", "log"]);
  choice("palette", ["blue", "viridis", "grey"]);
  choice("order", ["layer", "type"]);
  choice("measure", [...header.measures, ...header.differences].map((m) => m.key));
  for (const flag of ["special", "sinks", "renormalize", "mean"]) {
    if (fields.has(flag)) state[flag] = fields.get(flag) === "1";
  }
  return state;
}
