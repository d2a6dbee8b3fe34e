// What stands around a matrix, and the numbers that are drawn there.

import { drawText, FONT } from "./dom.js";

/** Room for the bars of sums, in pixels. */
export const SUMS = 26;

/** The greatest of each `step` x `step` cells, so that zooming out hides no cell. */
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
        if (values[from] > most) most = values[from];
        if (open && allowed[from]) open[to] = 1;
      }
      pooled[to] = most;
    }
  }
  return { width, height, values: pooled, allowed: open };
}

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

/** Tokens along the left and the top, as many as there is room for. */
export function drawLabels(context, panel, colors) {
  const { place } = panel;
  context.font = `12px ${FONT}`;
  context.textBaseline = "middle";
  const every = Math.max(1, Math.ceil(13 / place.cell));
  const chosenRow = panel.hover?.row ?? panel.scene.queryGroup(panel.view);
  const chosenColumn = panel.hover?.column ?? panel.scene.keyGroup(panel.view);
  const label = (axis, found, origin, size, offset, chosen, write) => {
    const { length } = axis.labels;
    const first = Math.max(0, Math.floor(offset / place.cell));
    const last = Math.min(length, Math.ceil((offset + size) / place.cell));
    const marked = new Set();
    for (let i = first; i < last; i++) {
      if (axis.members[i].some((p) => found?.has(p))) marked.add(i);
    }
    for (let i = first; i < last; i++) {
      const near = chosen >= 0 && chosen !== i && Math.abs(i - chosen) * place.cell < 12;
      if ((i % every && i !== chosen && !marked.has(i)) || near) continue;
      const middle = origin + (i + 0.5) * place.cell - offset;
      if (middle < origin || middle > origin + size) continue;
      context.fillStyle = i === chosen || marked.has(i) ? colors.accent : colors.ink;
      context.font = `${i === chosen || marked.has(i) ? "600 " : ""}12px ${FONT}`;
      write(axis.labels[i], middle);
    }
  };
  const { rows, columns } = panel.view;
  context.textAlign = "right";
  label(rows, panel.scene.found?.rows, place.top, place.shown.height, panel.zoom.y, chosenRow,
    (text, y) => drawText(context, text, place.left - 8, y, place.left - 12));
  context.textAlign = "left";
  label(columns, panel.scene.found?.columns, place.left, place.shown.width, panel.zoom.x, chosenColumn, (text, x) => {
    context.save();
    context.translate(x, place.top - 8);
    context.rotate(-Math.PI / 2);
    drawText(context, text, 0, 0, place.top - 12);
    context.restore();
  });
}

/** Bars: what the rows sum to, and what the columns receive. */
export function drawSums(context, panel, colors) {
  const { place } = panel;
  const { byRow, byColumn } = panel.sums;
  const thick = SUMS - 8;
  const most = Math.max(1e-9, ...byColumn);
  const mostRow = Math.max(1e-9, ...byRow);
  const right = place.left + place.shown.width + 6;
  const bottom = place.top + place.shown.height + 6;
  context.save();
  context.fillStyle = colors.muted;
  context.globalAlpha = 0.4;
  const gap = place.cell > 4 ? 1 : 0;
  context.save();
  context.beginPath();
  context.rect(right, place.top, thick, place.shown.height);
  context.clip();
  // One path for all bars: filling each by itself takes longer than the matrix.
  context.beginPath();
  for (let r = 0; r < place.rows; r++) {
    context.rect(right, place.top + r * place.cell - panel.zoom.y, thick * (byRow[r] / mostRow), place.cell - gap);
  }
  context.fill();
  context.restore();
  context.beginPath();
  context.rect(place.left, bottom, place.shown.width, thick);
  context.clip();
  context.beginPath();
  for (let c = 0; c < place.columns; c++) {
    context.rect(place.left + c * place.cell - panel.zoom.x, bottom, place.cell - gap, thick * (byColumn[c] / most));
  }
  context.fill();
  context.restore();
}
