// From stored weights to what is shown: groups of tokens, filters, renormalization.
// Rows are averaged over the tokens of a group, columns summed: sums of rows stay.

/**
 * One side of a matrix: labels, and the tokens that each label stands for.
 * @typedef {{labels: string[], members: number[][], of: Int32Array, special: boolean[]}} Axis
 */

/** Segments of a text pair: 0 up to the first separator, then 1; null if not a pair. */
export function segmentsOf(text, start, length) {
  const tokens = text.tokens.slice(start, start + length);
  const isEnd = (token) => token === "[SEP]" || token === "</s>";
  const first = tokens.findIndex((token, i) => i > 0 && isEnd(token));
  if (first < 0) return null;
  const rest = tokens.slice(first + 1).filter((token) => !isEnd(token) && token !== "[PAD]");
  if (!rest.length) return null;
  return Int8Array.from(tokens, (_, i) => (i <= first ? 0 : 1));
}

/**
 * @param {object} text of the header @param {number} start @param {number} length
 * @param {{unit: string, hidden: (position: number) => boolean}} options
 * @returns {Axis}
 */
export function makeAxis(text, start, length, { unit, hidden }) {
  const groups = unit === "word" ? text.words : unit === "sentence" ? text.sentences : null;
  const labels = [];
  const members = [];
  const special = [];
  const of = new Int32Array(length).fill(-1);
  let last = null;
  for (let position = 0; position < length; position++) {
    if (hidden(position)) continue;
    const group = groups ? groups[start + position] : position;
    if (group !== last) {
      members.push([]);
      last = group;
    }
    members[members.length - 1].push(position);
    of[position] = members.length - 1;
  }
  for (const positions of members) {
    labels.push(joinTokens(text, positions.map((p) => p + start), unit));
    special.push(positions.every((p) => text.special[p + start] === 1));
  }
  return { labels, members, of, special };
}

/** The text of a group as it is read. */
export function joinTokens(text, positions, unit) {
  if (unit === "token" || positions.length === 1) return text.shown[positions[0]];
  const joined = readTokens(text, positions);
  return joined.length > 60 ? `${joined.slice(0, 38)}…${joined.slice(-20)}` : joined;
}

/** Tokens as they were written: with the spaces between them, and without dots. */
export function readTokens(text, positions) {
  return positions.map((p, i) => {
    const starts = i === 0 || text.words[p] !== text.words[p - 1];
    return (i > 0 && text.spaces[p] ? " " : "") + plainPiece(text.shown[p], starts);
  }).join("");
}

/** A token within a word: without the dot that says so. */
export function plainPiece(shown, starts) {
  if (!starts && shown.startsWith("·")) return shown.slice(1);
  // A character over several tokens is shown in each, with its part: once is enough.
  const part = /^(.*?) (\d)\/\d$/su.exec(shown);
  return part ? (part[2] === "1" ? part[1] : "") : shown;
}

/** Keys that draw weight from nearly every query: a mean far above an even share. */
export function findSinks(weights, rows, columns) {
  const means = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) means[column] += weights[row * columns + column];
  }
  const limit = Math.max(0.15, Math.min(0.5, 8 / columns));
  const sinks = [];
  means.forEach((sum, column) => { if (sum / rows >= limit) sinks.push(column); });
  return sinks.length < columns ? sinks : [];
}

/** One row of tokens to one row of groups, added to `out` with a factor. */
export function addRow(row, axis, factor, out) {
  const { members } = axis;
  for (let group = 0; group < members.length; group++) {
    let sum = 0;
    for (const position of members[group]) sum += row[position];
    out[group] += sum * factor;
  }
}

/** Divide each row by its sum; a row without weight stays as it is. */
export function renormalizeRow(row) {
  let sum = 0;
  for (const weight of row) sum += weight;
  if (sum > 0) for (let i = 0; i < row.length; i++) row[i] /= sum;
}

/**
 * The matrix that is shown.
 * @param {import("./payload.js").Weights} head
 * @param {Uint8Array | null} allowed
 * @returns {{rows: Axis, columns: Axis, values: Float32Array, allowed: Uint8Array | null,
 *   greatest: number}}
 */
export function transform(head, allowed, rows, columns, renormalize) {
  const height = rows.members.length;
  const width = columns.members.length;
  const plain = height === head.rows && width === head.columns && !renormalize;
  const values = plain ? head.all() : new Float32Array(height * width);
  if (!plain) {
    const one = new Float32Array(head.columns);
    for (let group = 0; group < height; group++) {
      const out = values.subarray(group * width, (group + 1) * width);
      const positions = rows.members[group];
      for (const position of positions) addRow(head.row(position, one), columns, 1 / positions.length, out);
      if (renormalize) renormalizeRow(out);
    }
  }
  // Where rows were quantized their maxima are known.
  const greatest = greatestOf(plain && head.scales ? head.scales : values);
  const open = allowed && groupAllowed(allowed, head.columns, rows, columns);
  return { rows, columns, values, allowed: open, greatest };
}

/**
 * How far a shown weight may be off, at most, as a share of what is shown of its row; of all
 * rows the worst. A row of `shares` sums to 1: what is hidden tells what the rest sums to.
 * @param {{renormalize: boolean, shares: boolean}} options @returns {number} Infinity where
 *   what is left of a row may be nothing
 */
export function boundOf(head, allowed, rows, columns, { renormalize, shares }) {
  return Math.max(0, ...rows.members.map((positions) => {
    const out = { sum: 0, error: 0, hidden: 0, hiddenError: 0, cells: [] };
    const part = 1 / positions.length; // a group is the mean of its queries
    for (const position of positions) addErrors(head, allowed, position, columns, part, out);
    const most = greatestOf(out.cells.map(([, error]) => error));
    if (!most) return 0;
    if (!renormalize) return most / out.sum;
    const rest = shares ? Math.abs(1 - out.hidden - out.sum) + out.hiddenError : Infinity;
    const off = Math.min(out.error, rest); // of the sum that the row is divided by
    const left = out.sum - off;
    return left > 0 ? greatestOf(out.cells.map(([weight, error]) => (error + (weight / out.sum) * off) / left)) : Infinity;
  }));
}

/** Add the weights and the errors of one query, by groups of keys, to `out`. */
function addErrors(head, allowed, position, { members, of }, part, out) {
  for (let column = 0; column < head.columns; column++) {
    // What the network masks is 0 exactly.
    if (allowed && !allowed[position * head.columns + column]) continue;
    const weight = head.at(position, column) * part;
    const error = head.error(position, column) * part;
    if (of[column] < 0) {
      out.hidden += weight;
      out.hiddenError += error;
      continue;
    }
    const cell = (out.cells[of[column]] ??= [0, 0]);
    cell[0] += weight;
    cell[1] += error;
    out.sum += weight;
    out.error += error;
  }
}

/** The greatest, in size. */
export function greatestOf(values) {
  let greatest = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]);
    if (size > greatest) greatest = size;
  }
  return greatest;
}

/**
 * The weight of an even row, of those given: the mean of an allowed cell, as the static
 * pictures mark it; NaN where nothing is allowed.
 */
export function evenShare(allowed, width, rows) {
  if (!allowed) return 1 / width;
  let [cells, told] = [0, 0];
  for (const row of rows) {
    const before = cells;
    for (let i = row * width; i < (row + 1) * width; i++) cells += allowed[i];
    if (cells > before) told++;
  }
  return told / cells;
}

/** A group may attend where any of its tokens may. */
export function groupAllowed(allowed, stride, rows, columns) {
  const width = columns.members.length;
  const out = new Uint8Array(rows.members.length * width);
  rows.members.forEach((queries, r) => {
    for (const query of queries) {
      for (let column = 0; column < stride; column++) {
        const group = columns.of[column];
        if (group >= 0 && allowed[query * stride + column]) out[r * width + group] = 1;
      }
    }
  });
  return out;
}

/** The tiles of a reduced head as a matrix, with ranges of positions as labels. */
export function tileView(head, rowText, columnText, starts) {
  const axis = (count, length, text, start) => {
    const members = Array.from({ length: count }, (_, i) => {
      const first = i * head.tile;
      return Array.from({ length: Math.min(head.tile, length - first) }, (_, j) => first + j);
    });
    const of = Int32Array.from({ length }, (_, p) => Math.floor(p / head.tile));
    const labels = members.map((m) => `${m[0]}–${m[m.length - 1]} ${text.shown[start + m[0]]}`);
    return { labels, members, of };
  };
  const { greatest } = head;
  const values = greatest.all();
  return {
    rows: axis(greatest.rows, head.rows, rowText, starts[0]),
    columns: axis(greatest.columns, head.columns, columnText, starts[1]),
    values, allowed: null, greatest: greatestOf(values), tiles: true,
  };
}
