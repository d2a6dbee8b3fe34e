// What stands around a matrix, and the numbers that are drawn there.

import { drawText, FONT } from "./dom.js";
import { greatestOf } from "./transform.js";

/** Room for the bars of sums, in pixels. */
export const SUMS = 26;

/** The greatest in size of each `step` x `step` cells: zooming out hides no cell. */
export function poolView({ values, allowed }, rows, columns, step) {
  const width = Math.ceil(columns / step);
  const height = Math.ceil(rows / step);
  if (step === 1) return { width, height, values, allowed };
  const pooled = new Float32Array(width * height);
  const open = allowed && new Uint8Array(width * height);
  for (let r = 0, from = 0; r < rows; r++) {
    let to = Math.floor(r / step) * width;
    for (let c = 0; c < columns; to++) {
      let most = pooled[to];
      for (const stop = Math.min(c + step, columns); c < stop; c++, from++) {
        if (Math.abs(values[from]) > Math.abs(most)) most = values[from];
        if (open && allowed[from]) open[to] = 1;
      }
      pooled[to] = most;
    }
  }
  return { width, height, values: pooled, allowed: open };
}

/** Whether rows all sum to 1, but for rounding: then their sums tell nothing. */
export const areAllOne = (byRow) => byRow.every((sum) => Math.abs(sum - 1) < 0.02);

/** Sums of rows and of columns. */
export function sumsOf(values, rows, columns) {
  const byRow = new Float32Array(rows);
  const byColumn = new Float32Array(columns);
  for (let r = 0, i = 0; r < rows; r++) {
    let sum = 0;
    for (let c = 0; c < columns; c++, i++) {
      sum += values[i];
      byColumn[c] += values[i];
    }
    byRow[r] = sum;
  }
  return { byRow, byColumn };
}

/** Sums of a head that is kept in tiles: from their means, as their greatest overstate. */
export function sumsOfTiles({ weights, rows, columns }) {
  const means = weights.mean.all().slice();
  const width = columns.members.length;
  for (let i = 0; i < means.length; i++) means[i] *= columns.members[i % width].length;
  const { byRow } = sumsOf(means, rows.members.length, width);
  for (let i = 0; i < means.length; i++) {
    means[i] *= rows.members[Math.floor(i / width)].length / columns.members[i % width].length;
  }
  return { byRow, byColumn: sumsOf(means, rows.members.length, width).byColumn };
}

/** The tokens of one side: which, and where they stand. */
function sideOf({ view, place, zoom, scene }, name) {
  return name === "rows"
    ? { axis: view.rows, found: scene.found?.rows, chosen: scene.queryGroup(view),
      origin: place.top, size: place.shown.height, offset: zoom.y }
    : { axis: view.columns, found: scene.found?.columns, chosen: scene.keyGroup(view),
      origin: place.left, size: place.shown.width, offset: zoom.x };
}

function writeLabel(context, { place }, name, text, middle) {
  context.save();
  context.textBaseline = "middle";
  context.textAlign = name === "rows" ? "right" : "left";
  if (name === "rows") {
    drawText(context, text, place.left - 8, middle, place.left - 12);
  } else {
    context.translate(middle, place.top - 8);
    context.rotate(-Math.PI / 2);
    drawText(context, text, 0, 0, place.top - 12);
  }
  context.restore();
}

/** Letters fit the cells, from 9 to 12 pixels high; below that some tokens are left out. */
function lettersOf({ cell }) {
  const size = Math.min(12, Math.max(9, cell - 1));
  return { size, every: Math.max(1, Math.ceil((size + 1) / cell)) };
}

/**
 * Tokens along the left and the top, as many as there is room for, and what they are.
 * @returns {string[]} how many of each side there is no room for, where some are left out
 */
export function drawLabels(context, panel, colors) {
  const { cell } = panel.place;
  const { size: letters, every } = lettersOf(panel.place);
  const leftOut = [];
  for (const [name, side] of [["rows", "query"], ["columns", "key"]]) {
    let [seen, drawn] = [0, 0];
    const { axis, found, chosen, origin, size, offset } = sideOf(panel, name);
    const first = Math.max(0, Math.floor(offset / cell));
    const last = Math.min(axis.labels.length, Math.ceil((offset + size) / cell));
    for (let i = first; i < last; i++) {
      const strong = i === chosen || (found && axis.members[i].some((p) => found.has(p)));
      const near = chosen >= 0 && chosen !== i && Math.abs(i - chosen) * cell < letters;
      const middle = origin + (i + 0.5) * cell - offset;
      if (middle < origin || middle > origin + size) continue;
      seen++;
      if ((i % every && !strong) || near) continue;
      drawn++;
      context.fillStyle = strong ? colors.accent : axis.special?.[i] ? colors.muted : colors.ink;
      context.font = `${strong ? "600 " : ""}${letters}px ${FONT}`;
      writeLabel(context, panel, name, axis.labels[i], middle);
    }
    if (drawn < seen) leftOut.push(`${seen - drawn} of ${seen} ${side} labels`);
  }
  nameAxes(context, panel.place, colors);
  return leftOut;
}

/** What rows and columns are, in the corner between them. */
function nameAxes(context, { left, top }, colors) {
  context.save();
  context.fillStyle = colors.muted;
  context.font = `${left < 80 ? 10 : 11}px ${FONT}`;
  context.textBaseline = "middle";
  const write = (text, x, y) => drawText(context, text, x, y, left - 6);
  context.textAlign = "right";
  write("key →", left - 6, 8);
  write("attends to", left - 6, 21);
  context.textAlign = "left";
  write("attends from", 4, top - 22);
  write("query ↓", 4, top - 9);
  context.restore();
}

/** The token under the pointer, over those that stand where it does. */
export function drawHovered(context, panel, name, index, colors) {
  const { place } = panel;
  const { axis, origin, offset } = sideOf(panel, name);
  const middle = origin + (index + 0.5) * place.cell - offset;
  context.fillStyle = colors.ground;
  const { every } = lettersOf(place);
  const before = Math.floor(index / every) * every;
  for (const i of [index, before, before + every]) {
    const at = middle + (i - index) * place.cell;
    if (Math.abs(at - middle) > 15) continue;
    if (name === "rows") context.fillRect(0, at - 8, place.left - 4, 16);
    else context.fillRect(at - 8, 0, 16, place.top - 4);
  }
  context.fillStyle = colors.accent;
  context.font = `600 12px ${FONT}`;
  writeLabel(context, panel, name, axis.labels[index], middle);
}

/** Bars: what the columns receive, and what the rows sum to where that is not always 1. */
export function drawSums(context, panel, colors) {
  const { place } = panel;
  const { byRow, byColumn } = panel.sums;
  const thick = SUMS - 8;
  const most = Math.max(1e-9, greatestOf(byColumn));
  const mostRow = Math.max(1e-9, greatestOf(byRow));
  const right = place.left + place.shown.width + 6;
  const bottom = place.top + place.shown.height + 6;
  context.save();
  context.fillStyle = colors.muted;
  context.globalAlpha = 0.4;
  const gap = place.cell > 4 ? 1 : 0;
  // Where several stand on a pixel, the greatest of them.
  const step = Math.max(1, Math.ceil(1 / place.cell));
  const long = step * place.cell - gap;
  const greatest = (sums, i) => greatestOf(sums.subarray(i, i + step));
  if (panel.sums.tellRows) {
    context.save();
    context.beginPath();
    context.rect(right, place.top, thick, place.shown.height);
    context.clip();
    // One path for all bars: filling each by itself takes longer than the matrix.
    context.beginPath();
    for (let r = 0; r < place.rows; r += step) {
      context.rect(right, place.top + r * place.cell - panel.zoom.y, thick * (greatest(byRow, r) / mostRow), long);
    }
    context.fill();
    context.restore();
  }
  context.beginPath();
  context.rect(place.left, bottom, place.shown.width, thick);
  context.clip();
  context.beginPath();
  for (let c = 0; c < place.columns; c += step) {
    context.rect(place.left + c * place.cell - panel.zoom.x, bottom, long, thick * (greatest(byColumn, c) / most));
  }
  context.fill();
  context.restore();
}
