// Run with `node --test tests/explorer/*.test.mjs`.
import assert from "node:assert/strict";
import test from "node:test";

import { restoreOrder, Weights } from "../../neural_attn/explorer/payload.js";
import { addRow, boundOf, findSinks, joinTokens, makeAxis, renormalizeRow, segmentsOf, transform }
  from "../../neural_attn/explorer/transform.js";
import { roundedUp } from "../../neural_attn/explorer/scene.js";

const FULL = { shares: [] };

/** Weights as a full-precision block holds them: planes of bytes. */
function weightsOf(rows) {
  const flat = Float32Array.from(rows.flat());
  const bytes = new Uint8Array(flat.buffer);
  const planes = Uint8Array.from(bytes, (_, i) => bytes[4 * (i % flat.length) + Math.floor(i / flat.length)]);
  return new Weights(planes, 0, rows.length, rows[0].length, FULL);
}

const TEXT = {
  scheme: "wordpiece",
  tokens: ["[CLS]", "ke", "##rb", ".", "[SEP]"], shown: ["[CLS]", "ke", "·rb", ".", "[SEP]"],
  words: [0, 1, 1, 2, 3], sentences: [0, 1, 1, 1, 2], special: [1, 0, 0, 0, 1],
  spaces: [0, 1, 0, 0, 1],
};
const everything = () => false;
const axis = (unit, hidden = everything) => makeAxis(TEXT, 0, 5, { unit, hidden });
const sum = (values) => values.reduce((a, b) => a + b, 0);
const ROWS = [
  [0.2, 0.2, 0.2, 0.2, 0.2], [0.5, 0.1, 0.2, 0.1, 0.1], [0.9, 0, 0.1, 0, 0],
  [0.1, 0.2, 0.3, 0.4, 0], [0, 0, 0, 0, 1],
];

test("full precision comes back as it was", () => {
  assert.deepEqual([...weightsOf(ROWS).row(3)], [...Float32Array.from(ROWS[3])]);
});

for (const unit of ["token", "word", "sentence"]) {
  test(`rows of ${unit}s keep their sums`, () => {
    const view = transform(weightsOf(ROWS), null, axis(unit), axis(unit), false);
    const width = view.columns.labels.length;
    for (let r = 0; r < view.rows.labels.length; r++) {
      assert.ok(Math.abs(sum(view.values.subarray(r * width, (r + 1) * width)) - 1) < 1e-6);
    }
  });
}

test("a word's row is the mean over its queries, its column the sum over its keys", () => {
  const view = transform(weightsOf(ROWS), null, axis("word"), axis("word"), false);
  assert.deepEqual(view.rows.labels, ["[CLS]", "kerb", ".", "[SEP]"]);
  const kerb = [...view.values.subarray(4, 8)];
  [0.7, 0.2, 0.05, 0.05].forEach((value, i) => assert.ok(Math.abs(kerb[i] - value) < 1e-6));
});

test("hidden keys are left out, and only renormalizing fills the gap", () => {
  const hidden = axis("token", (p) => TEXT.special[p] === 1);
  const plain = transform(weightsOf(ROWS), null, hidden, hidden, false);
  assert.deepEqual(plain.columns.labels, ["ke", "·rb", "."]);
  assert.ok(Math.abs(sum(plain.values.subarray(0, 3)) - 0.4) < 1e-6);
  const whole = transform(weightsOf(ROWS), null, hidden, hidden, true);
  assert.ok(Math.abs(sum(whole.values.subarray(0, 3)) - 1) < 1e-6);
});

test("a row without weight stays without weight", () => {
  const row = new Float32Array(3);
  renormalizeRow(row);
  assert.deepEqual([...row], [0, 0, 0]);
});

test("a group may attend where one of its tokens may", () => {
  const allowed = new Uint8Array(25);
  allowed[2 * 5 + 0] = 1; // of "##rb", the second half of the word
  const view = transform(weightsOf(ROWS), allowed, axis("word"), axis("word"), false);
  assert.deepEqual([...view.allowed.subarray(4, 8)], [1, 0, 0, 0]);
});

test("sinks are keys far above an even share, never all keys", () => {
  const rows = Array.from({ length: 20 }, () => [0.8, ...Array(19).fill(0.2 / 19)]);
  assert.deepEqual(findSinks(rows.flat(), 20, 20), [0]);
  assert.deepEqual(findSinks(Array(400).fill(1 / 20), 20, 20), []);
  assert.deepEqual(findSinks([1, 1], 2, 1), []);
});

test("a pair is told apart at its first separator", () => {
  const pair = { tokens: ["[CLS]", "a", "[SEP]", "b", "[SEP]"] };
  assert.deepEqual([...segmentsOf(pair, 0, 5)], [0, 0, 0, 1, 1]);
  assert.equal(segmentsOf(TEXT, 0, 5), null);
});

test("a character over several tokens is read once", () => {
  const text = { scheme: "byte-level", shown: ["中 1/3", "中 2/3", "中 3/3"], words: [0, 0, 0], spaces: [0, 0, 0] };
  assert.equal(joinTokens(text, [0, 1, 2], "word"), "中");
});

test("codes are put back where they were", () => {
  // Sums of ranks: [[1, 3, 1], [2, 2, 5]].
  const ranks = [0, 1, 0, 0, 1, 0, 3, 1, 1];
  const bytes = Uint8Array.from([...ranks, 10, 11, 12, 13, 14, 15]);
  assert.deepEqual([...restoreOrder(bytes, 0, 2, 3)], [10, 14, 11, 12, 13, 15]);
});

test("codes stand for shares of the row's maximum, off by half a step at most", () => {
  const bytes = new Uint8Array(8 + 7 + 4);
  new Float32Array(bytes.buffer, 0, 2).set([0.5, 0.25]);
  bytes.set([2, 0, 1, 2], 15);
  const weights = new Weights(bytes, 0, 2, 2, { shares: [0, 0.25, 1] });
  assert.deepEqual([...weights.all()], [0.5, 0, 0.0625, 0.25]);
  assert.equal(weights.end, bytes.length);
  assert.equal(weights.error(0, 0), 0);
  assert.ok(Math.abs(weights.error(0, 1) - 0.5 * 0.125) < 1e-5);
  assert.ok(Math.abs(weights.error(1, 0) - 0.25 * 0.375) < 1e-5);
});

test("of what is left of a row a step is a larger share", () => {
  // Three weights of one row; the first, its maximum, is hidden: 0.02 is left of it.
  const shares = [0, 0.01, 0.02, 1];
  const bytes = new Uint8Array(Float32Array.of(0.98).buffer);
  const rows = { members: [[0]] };
  const left = { members: [[1], [2]], of: [-1, 0, 1] };
  const head = new Weights(Uint8Array.from([...bytes, ...Array(7).fill(0), 3, 1, 1]), 0, 1, 3, { shares });
  const error = head.error(0, 1);
  assert.ok(Math.abs(error / 0.0196 - 0.25) < 0.001);
  const bound = (options) => boundOf(head, null, rows, left, options);
  assert.ok(Math.abs(bound({ renormalize: false, shares: true }) - error / 0.0196) < 1e-6);
  // The rest is known from what is hidden, exactly: 0.02, not 0.0196.
  assert.ok(bound({ renormalize: true, shares: true }) < 0.27);
  assert.ok(bound({ renormalize: true, shares: false }) > 0.5);
  // Of a masked key nothing may be off, and a row without others has nothing to tell.
  assert.equal(boundOf(head, Uint8Array.from([1, 0, 0]), rows, left, { renormalize: true, shares: true }), 0);
});

for (const [error, said] of [[0.0144, "0.02"], [0.02, "0.02"], [0.00099, "0.001"], [0.95, "1"]]) {
  test(`an error of ${error} is never told as less`, () => assert.equal(roundedUp(error), said));
}

test("sums add with a factor", () => {
  const out = new Float32Array(4);
  addRow(Float32Array.from(ROWS[1]), axis("word"), 0.5, out);
  assert.ok(Math.abs(out[1] - 0.15) < 1e-6);
});
