import assert from "node:assert/strict";
import test from "node:test";

import { poolView, sumsOf } from "../../neural_attn/explorer/axes.js";
import { cssColor, inkOn, placeOf, ramp, shareOf } from "../../neural_attn/explorer/colors.js";
import { csvCell, toCsv } from "../../neural_attn/explorer/export.js";
import { causalMask, Weights } from "../../neural_attn/explorer/payload.js";
import { rowsByType, shrink } from "../../neural_attn/explorer/model.js";
import { windowOf } from "../../neural_attn/explorer/reading.js";
import { clampState, DEFAULTS, fromHash, opening, Store, toHash } from "../../neural_attn/explorer/state.js";
import { escapeXml, shorten } from "../../neural_attn/explorer/svg.js";

const example = { rows: 4, columns: 4, query_start: 0, key_start: 0 };
const map = (layer, kind, heads) => ({ layer, kind, heads, examples: [example] });
const HEADER = {
  measures: [{ key: "entropy" }],
  differences: [],
  shows: { special: false, sinks: false, renormalize: false, scale: "sqrt" },
  sources: [{ maps: [map(0, "decoder_self", [3, 7]), map(0, "cross", [3, 7]), map(1, "decoder_self", [0, 1])] }],
};

test("a link names layers and heads by their numbers", () => {
  const state = { ...DEFAULTS, map: 1, head: 1, query: 2 };
  assert.equal(toHash(state, HEADER), "#layer=0&kind=cross&head=7&query=2");
});

test("a link says what is not as the page opens", () => {
  const header = { ...HEADER, shows: { ...HEADER.shows, special: true } };
  assert.equal(toHash(DEFAULTS, header), "#layer=0&kind=decoder_self&head=3&special=0");
  assert.equal(toHash({ ...DEFAULTS, special: true }, header), "#layer=0&kind=decoder_self&head=3");
  const linear = { ...HEADER, shows: { ...HEADER.shows, scale: "head" } };
  assert.equal(toHash(DEFAULTS, linear), "#layer=0&kind=decoder_self&head=3&scale=sqrt");
});

for (const patch of [{}, { map: 2, head: 1, view: "token", scale: "log", others: [0], unit: "word", special: true }, { mean: false, step: 3 }]) {
  test(`a link gives the state back: ${JSON.stringify(patch)}`, () => {
    const state = { ...DEFAULTS, ...patch };
    assert.deepEqual({ ...DEFAULTS, ...fromHash(toHash(state, HEADER), HEADER) }, state);
  });
}

test("nonsense in a link is left out", () => {
  const state = fromHash("#layer=99&head=x&query=-5&view=evil&unit=__proto__&model=7&with=9+a", HEADER);
  assert.deepEqual(clampState({ ...DEFAULTS, ...state }, HEADER), DEFAULTS);
});

test("a page opens on what it is made for, else on what stands out, and a link comes first", () => {
  const sources = [{ highlights: [{ heads: [[2, 1], [0, 0]] }] }];
  assert.deepEqual(opening({ opens: [1, 0], sources }, ""), { map: 1, head: 0 });
  assert.deepEqual(opening({ opens: null, sources }, "#query=2"), { map: 2, head: 1 });
  assert.deepEqual(opening({ opens: null, sources: [{ highlights: [{ heads: [] }] }] }, ""), { map: 0, head: 0 });
  assert.deepEqual(opening({ opens: [1, 0], sources }, "#layer=0"), {});
});

test("a state outside the data becomes the nearest inside", () => {
  const state = clampState({ ...DEFAULTS, map: 50, head: 50, query: 50, example: 9, view: "compare" }, HEADER);
  assert.deepEqual([state.map, state.head, state.query, state.example, state.view], [2, 1, 3, 0, "matrix"]);
});

test("listeners hear what changed, and nothing if nothing did", () => {
  const store = new Store({});
  const heard = [];
  store.listeners.push((state, changed) => heard.push([...changed]));
  store.set({ head: 0 });
  store.set({ head: 3, map: 0 });
  assert.deepEqual(heard, [["head"]]);
});

test("zooming out keeps the greatest, not the mean", () => {
  const values = new Float32Array(100).fill(0.01);
  values[37] = 0.9;
  const pooled = poolView({ values, allowed: null }, 10, 10, 4);
  assert.equal(pooled.width, 3);
  assert.equal(Math.max(...pooled.values), values[37]);
});

test("heads by type: the rarest first, and no row is longer than the grid", () => {
  const maps = [{ types: ["sink", "sink", "next_token"] }, { types: ["sink", "sink", "sink"] }];
  assert.deepEqual(rowsByType(maps, 3).map(({ label, cells }) => [label, cells.join(" ")]), [
    ["next token 1", "0,2"], ["sink 5", "0,0 0,1 1,0"], ["", "1,1 1,2"]]);
});

test("the part of a long text that is read holds the query", () => {
  assert.deepEqual(windowOf(400, 399), [0, 400]);
  for (const query of [0, 199, 200, 3000, 4095]) {
    const [first, end] = windowOf(4096, query);
    assert.ok(first <= query && query < end && first >= 0 && end <= 4096 && end - first === 400);
  }
});

test("a thumbnail keeps a single strong link", () => {
  const bytes = new Uint8Array(4 * 200 + 799 + 200 * 200);
  new Float32Array(bytes.buffer, 0, 200).fill(0.5);
  bytes[4 * 200 + 799 + 200 * 150 + 3] = 2;
  const small = shrink(new Weights(bytes, 0, 200, 200, { shares: [0, 0.1, 1] }));
  assert.equal(small.greatest, 0.5);
  assert.equal(small.values.filter((value) => value > 0).length, 1);
});

test("later keys are masked, counted from the end", () => {
  assert.deepEqual([...causalMask({ queries: 2, keys: 3 }, { ...example, rows: 2, columns: 3 })], [1, 1, 0, 1, 1, 1]);
});

test("sums of rows and columns", () => {
  const { byRow, byColumn } = sumsOf([1, 2, 3, 4], 2, 2);
  assert.deepEqual([[...byRow], [...byColumn]], [[3, 7], [4, 6]]);
});

test("the scale: linear, the square root, and four decades of logarithm", () => {
  assert.equal(shareOf(0.5, 1, "head"), 0.5);
  assert.equal(shareOf(0.5, 2, "sqrt"), 0.5);
  assert.equal(shareOf(0.01, 1, "log"), 0.5);
  assert.equal(shareOf(0, 1, "log"), 0);
  assert.equal(shareOf(1, 0, "sqrt"), 0);
  assert.equal(placeOf(-0.25, 1, "sqrt", true), 0.25);
});

for (const palette of ["blue", "viridis", "grey", "difference"]) {
  for (const dark of [false, true]) {
    test(`text reads on every colour of ${palette}${dark ? ", dark" : ""}`, () => {
      const table = ramp(palette, dark);
      const light = (r, g, b) => [r, g, b].map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((total, v, i) => total + v * [0.2126, 0.7152, 0.0722][i], 0);
      for (let i = 0; i <= 255; i++) {
        const ground = light(...cssColor(table, i / 255).match(/\d+/g).map(Number));
        const ink = inkOn(table, i / 255) === "#ffffff" ? 1 : 0;
        const ratio = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
        assert.ok(ratio >= 4.5, `${i}: ${ratio}`);
      }
    });
  }
}

test("CSV quotes, and keeps formulas from running", () => {
  assert.equal(csvCell('a"b,c'), '"a""b,c"');
  assert.equal(csvCell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
  assert.equal(csvCell("-"), "-");
  assert.equal(csvCell(-0.5), "-0.5");
  assert.equal(toCsv([["a", 1]]), "a,1\r\n");
});

test("SVG holds any token as text", () => {
  assert.equal(escapeXml("</text><script>&\"'"), "&lt;/text&gt;&lt;script&gt;&amp;&quot;&#39;");
  assert.equal(escapeXml("\ud800\u0001"), "\ufffd\ufffd");
  assert.equal([...shorten("x".repeat(99), 10)].length, 10);
});
