// The data of the page: unpacked when it is asked for, and kept while there is room.

/** How many bytes of unpacked heads are kept. */
const ROOM = 256 * 2 ** 20;

/** Codes as they were: they are stored by the sum of the ranks of row, column, diagonal. */
export function restoreOrder(bytes, offset, rows, columns) {
  const rank = (start, length) => bytes.subarray(offset + start, offset + start + length);
  const ofRow = rank(0, rows);
  const ofColumn = rank(rows, columns);
  const ofDiagonal = rank(rows + columns, rows + columns - 1);
  const ordered = rank(2 * (rows + columns) - 1, rows * columns);
  const next = new Uint32Array(766); // of the codes of each sum: where the next one stands
  for (let r = 0; r < rows; r++) {
    for (let c = 0, d = r + columns - 1; c < columns; c++, d--) next[ofRow[r] + ofColumn[c] + ofDiagonal[d]]++;
  }
  for (let sum = 0, start = 0; sum < next.length; sum++) {
    const count = next[sum];
    next[sum] = start;
    start += count;
  }
  const codes = new Uint8Array(rows * columns);
  for (let r = 0, i = 0; r < rows; r++) {
    for (let c = 0, d = r + columns - 1; c < columns; c++, d--, i++) {
      codes[i] = ordered[next[ofRow[r] + ofColumn[c] + ofDiagonal[d]]++];
    }
  }
  return codes;
}

/** @param {string} text base64 @returns {Uint8Array} */
export function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Undo zlib. @param {Uint8Array} bytes @returns {Promise<Uint8Array>} */
export async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Floats that start anywhere in a buffer. */
function floats(bytes, offset, count) {
  return new Float32Array(bytes.slice(offset, offset + 4 * count).buffer);
}

/** Four planes of bytes back to float32. */
function joinPlanes(bytes, offset, count) {
  const joined = new Uint8Array(4 * count);
  for (let plane = 0; plane < 4; plane++) {
    const start = offset + plane * count;
    for (let i = 0; i < count; i++) joined[4 * i + plane] = bytes[start + i];
  }
  return new Float32Array(joined.buffer);
}

/** Weights [rows, columns] as they are stored; gives them row by row. */
export class Weights {
  /** Read from `bytes` at `offset`; `end` is where they stop. */
  constructor(bytes, offset, rows, columns, precision) {
    this.rows = rows;
    this.columns = columns;
    this.precision = precision;
    const count = rows * columns;
    this.table = Float32Array.from(precision.shares);
    if (this.table.length) {
      this.scales = floats(bytes, offset, rows);
      this.codes = restoreOrder(bytes, offset + 4 * rows, rows, columns);
      this.end = offset + 6 * rows + 2 * columns - 1 + count;
      this.bytes = count + 4 * rows;
    } else {
      this.values = joinPlanes(bytes, offset, count);
      this.end = offset + 4 * count;
      this.bytes = 4 * count;
    }
  }

  at(row, column) {
    const index = row * this.columns + column;
    return this.values ? this.values[index] : this.scales[row] * this.table[this.codes[index]];
  }

  /** How far at() may be off, at most. */
  error(row, column) {
    if (this.values) return 0;
    const { codes, table } = this;
    const code = codes[row * this.columns + column];
    // The maximum of a row is stored as it is.
    if (code === table.length - 1 && this.isMaximum(row)) return 0;
    const gap = Math.max(code ? table[code] - table[code - 1] : 0, (table[code + 1] ?? 1) - table[code]);
    // Shares are rounded to 65,535 steps before the nearest value is taken.
    return (gap / 2 + 0.5 / 65535) * this.scales[row];
  }

  isMaximum(row) {
    const codes = this.codes.subarray(row * this.columns, (row + 1) * this.columns);
    const last = this.table.length - 1;
    return codes.indexOf(last) === codes.lastIndexOf(last);
  }

  /** One row into `out`, or a new array. @returns {Float32Array} */
  row(row, out = new Float32Array(this.columns)) {
    const start = row * this.columns;
    if (this.values) {
      out.set(this.values.subarray(start, start + this.columns));
      return out;
    }
    const { codes, table } = this;
    const scale = this.scales[row];
    for (let column = 0; column < this.columns; column++) {
      out[column] = scale * table[codes[start + column]];
    }
    return out;
  }

  /** All rows, one after the other. @returns {Float32Array} */
  all() {
    if (this.values) return this.values;
    const out = new Float32Array(this.rows * this.columns);
    for (let row = 0; row < this.rows; row++) {
      this.row(row, out.subarray(row * this.columns, (row + 1) * this.columns));
    }
    return out;
  }
}

/** A head kept with less detail: tiles, and the strongest keys of every query. */
export class Reduced {
  constructor(bytes, example, precision) {
    const { tile, rows, columns, links } = example;
    const tileRows = Math.ceil(rows / tile);
    const tileColumns = Math.ceil(columns / tile);
    this.tile = tile;
    this.rows = rows;
    this.columns = columns;
    this.links = links;
    this.greatest = new Weights(bytes, 0, tileRows, tileColumns, precision);
    this.mean = new Weights(bytes, this.greatest.end, tileRows, tileColumns, precision);
    let offset = this.mean.end;
    this.linkWeights = floats(bytes, offset, rows * links);
    offset += 4 * rows * links;
    this.exactRows = new Map(example.exact_rows.map((row, index) => (
      [row, floats(bytes, offset + 4 * index * columns, columns)])));
    offset += 4 * example.exact_rows.length * columns;
    const Keys = columns <= 65536 ? Uint16Array : Uint32Array;
    this.linkKeys = new Keys(bytes.slice(offset).buffer);
    this.bytes = bytes.length;
  }

  /** What is known of one row: exactly, or its strongest keys and 0 elsewhere. */
  row(row) {
    const exact = this.exactRows.get(row);
    if (exact) return exact;
    const out = new Float32Array(this.columns);
    for (let i = row * this.links; i < (row + 1) * this.links; i++) {
      out[this.linkKeys[i]] = this.linkWeights[i];
    }
    return out;
  }
}

/** The header and the blocks of a document. */
export class Payload {
  /** @param {Document} page */
  constructor(page) {
    this.page = page;
    this.header = JSON.parse(page.getElementById("header").textContent);
    if (this.header.version !== 2) throw new Error("this page has another version");
    this.kept = new Map();
    this.used = 0;
  }

  example(source, map, example) {
    return this.header.sources[source].maps[map].examples[example];
  }

  /** How weights of a map are stored: signed ones exactly. */
  precision(source, map) {
    const { rows } = this.header.sources[source].maps[map];
    return rows === "signed" ? { shares: [] } : this.header.precision;
  }

  /** The bytes of a block. */
  async block(number) {
    return inflate(fromBase64(this.page.getElementById(`b${number}`).textContent));
  }

  /** A reduced head by words or sentences, which were made of all its weights. */
  grouped(source, map, example, head, unit, rows, columns) {
    const number = this.example(source, map, example).units[unit][head];
    return this.keep(number, async () => (
      new Weights(await this.block(number), 0, rows, columns, this.precision(source, map))));
  }

  /** One head. @returns {Promise<Weights | Reduced>} */
  head(source, map, example, head) {
    const entry = this.example(source, map, example);
    const precision = this.precision(source, map);
    const exact = entry.exact_heads?.[head];
    const number = exact ?? entry.blocks[head];
    return this.keep(number, async () => {
      const bytes = await this.block(number);
      return entry.form === "reduced" && exact === undefined
        ? new Reduced(bytes, entry, precision)
        : new Weights(bytes, 0, entry.rows, entry.columns, precision);
    });
  }

  /** Rollout up to the layer of a map, over the image that it is of; null without one. */
  async rollout(source, map, example) {
    const { rollout, rows, columns } = this.example(source, map, example);
    if (rollout === undefined) return null;
    return this.keep(rollout, async () => (
      new Weights(await this.block(rollout), 0, rows, columns, this.header.precision)));
  }

  /** 1 where `head` may attend, [rows * columns]; null where nothing is masked. */
  async allowed(source, map, example, head) {
    const entry = this.example(source, map, example);
    const { rows, columns, mask } = entry;
    const whole = this.header.sources[source].maps[map];
    if (!mask) return whole.causal ? causalMask(whole, entry) : null;
    const bits = await this.keep(mask.block, () => this.block(mask.block));
    const out = new Uint8Array(rows * columns);
    const start = mask.heads > 1 ? head * rows * columns : 0;
    for (let i = 0; i < out.length; i++) {
      const bit = start + i;
      out[i] = (bits[bit >> 3] >> (7 - (bit & 7))) & 1;
    }
    return out;
  }

  /** The value for a block: from what is kept, else made now; oldest are let go. */
  keep(number, make) {
    let found = this.kept.get(number);
    if (found) {
      this.kept.delete(number); // to the end: used last
    } else {
      found = { size: 0, value: make() };
      found.value.then((value) => {
        found.size = value.bytes ?? value.length;
        this.used += found.size;
        this.trim();
      }, () => this.kept.delete(number));
    }
    this.kept.set(number, found);
    return found.value;
  }

  trim() {
    for (const [number, { size }] of this.kept) {
      if (this.used <= ROOM) return;
      if (!size) continue;
      this.kept.delete(number);
      this.used -= size;
    }
  }
}

/** Later keys are hidden; the last query stands at the last key. */
export function causalMask(whole, example) {
  const { rows, columns } = example;
  const shift = whole.keys - whole.queries + example.query_start - example.key_start;
  const out = new Uint8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    out.fill(1, row * columns, row * columns + Math.max(0, Math.min(columns, row + shift + 1)));
  }
  return out;
}
