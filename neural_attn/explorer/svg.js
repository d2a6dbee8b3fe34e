// Pictures as SVG with real text; plain enough for browsers, Inkscape and librsvg.

import { cssColor, headColor, inkOn, placeOf, ramp, signColor } from "./colors.js";
import { formatWeight } from "./dom.js";
import { dashOf, signsOf } from "./head.js";

/** Above so many cells they are one embedded picture instead of rectangles. */
export const MOST_RECTANGLES = 10000;
const SVG_FONT = "Noto Sans, DejaVu Sans, Arial, sans-serif";

/** Text that is safe in XML: escaped, and without what XML cannot hold. */
export function escapeXml(text) {
  const names = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return String(text)
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, "\ufffd")
    .replace(/[&<>"']/g, (mark) => names[mark]);
}

/** At most so many characters; both ends are kept. */
export function shorten(text, most) {
  const letters = Array.from(text);
  if (letters.length <= most) return text;
  const end = Math.floor((most - 1) / 3);
  return `${letters.slice(0, most - 1 - end).join("")}…${letters.slice(letters.length - end).join("")}`;
}

function frame(width, height, title, colors, body) {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${SVG_FONT}">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="${colors.ground}"/>`,
    `<text x="16" y="26" font-size="15" font-weight="600" fill="${colors.ink}">${escapeXml(title)}</text>`,
    ...body, "</svg>", "",
  ].join("\n");
}

const hex = (css) => `#${css.match(/\d+/g).map((n) => Number(n).toString(16).padStart(2, "0")).join("")}`;

/** What is said of a scale beside its ends. */
const SCALE_WORDS = { head: "", sqrt: ", by the square root", log: ", by the logarithm" };

/**
 * One head as a matrix.
 * @param {{title: string, notes: string[], palette: string, scale: string, image: string}} how
 *   `image` is a PNG data address, used where there are too many cells.
 */
export function matrixSvg(view, how, colors) {
  const { rows, columns, values, allowed, greatest, signed, scale = how.scale } = view;
  const height = rows.labels.length;
  const width = columns.labels.length;
  const cell = Math.max(2, Math.min(22, Math.floor(900 / Math.max(height, width))));
  const [left, top] = [150, 170];
  const table = ramp(how.palette, colors.dark);
  const body = [];
  const text = (x, y, content, more) => `<text x="${x}" y="${y}" fill="${colors.ink}" ${more}>${escapeXml(content)}</text>`;
  if (values.length > MOST_RECTANGLES) {
    body.push(`<image x="${left}" y="${top}" width="${width * cell}" height="${height * cell}" preserveAspectRatio="none" style="image-rendering:pixelated" xlink:href="${how.image}"/>`);
  } else {
    values.forEach((value, i) => {
      const hidden = allowed && !allowed[i];
      const fill = hidden ? colors.masked : hex(cssColor(table, placeOf(value, greatest, scale, signed)));
      body.push(`<rect x="${left + (i % width) * cell}" y="${top + Math.floor(i / width) * cell}" width="${cell}" height="${cell}" fill="${fill}"/>`);
    });
  }
  const every = Math.max(1, Math.ceil(10 / cell));
  const size = Math.min(12, Math.max(8, cell * every - 1));
  rows.labels.forEach((label, i) => {
    if (i % every === 0) body.push(text(left - 6, top + (i + 0.5) * cell + size * 0.35, shorten(label, 20), `font-size="${size}" text-anchor="end"`));
  });
  columns.labels.forEach((label, i) => {
    const x = left + (i + 0.5) * cell + size * 0.35;
    if (i % every === 0) body.push(text(x, top - 6, shorten(label, 18), `font-size="${size}" transform="rotate(-90 ${x} ${top - 6})"`));
  });
  body.push(text(left - 6, top - 24, "key → attends to", 'font-size="11" text-anchor="end" opacity="0.75"'));
  body.push(text(left - 6, top - 8, "attends from query ↓", 'font-size="11" text-anchor="end" opacity="0.75"'));
  const colored = `${signed ? formatWeight(-greatest) : 0} to ${formatWeight(greatest)}${SCALE_WORDS[scale]}${view.even && !signed ? `, uniform ${formatWeight(view.even)}` : ""}`;
  body.push(text(16, 46, [colored, ...how.notes].join(" · "), 'font-size="12" opacity="0.75"'));
  return frame(left + width * cell + 24, top + height * cell + 24, how.title, colors, body);
}

/** Heads as lines. @param {{links: object[], title: string, notes: string[], row: number}} how */
export function linesSvg(how, colors) {
  const { links } = how;
  const { rows, columns } = links[0];
  const [left, right, top, step] = [220, 560, 70, 18];
  const body = [];
  links.forEach(({ row, greatest }, order) => {
    const single = how.signed && links.length === 1;
    for (let r = 0; r < rows.labels.length; r++) {
      if (how.row >= 0 && how.row !== r) continue;
      row(r).forEach((weight, c) => {
        const share = Math.abs(weight) / greatest;
        if (share < 0.03) return;
        const color = single ? signColor(weight, colors.dark) : headColor(order, colors.dark);
        const dash = dashOf(weight, links.length).join(" ");
        const [y1, y2] = [top + (r + 0.5) * step, top + (c + 0.5) * step];
        body.push(`<path d="M${left} ${y1}C${(left + right) / 2} ${y1} ${(left + right) / 2} ${y2} ${right} ${y2}" fill="none" stroke="${color}"${dash && ` stroke-dasharray="${dash}"`} stroke-width="${(0.6 + 2.6 * share).toFixed(2)}" stroke-opacity="${(0.08 + 0.92 * share).toFixed(3)}"/>`);
      });
    }
  });
  const label = (axis, x, anchor) => axis.labels.forEach((text, i) => body.push(
    `<text x="${x}" y="${top + (i + 0.5) * step + 4}" font-size="12" text-anchor="${anchor}" fill="${colors.ink}">${escapeXml(shorten(text, 24))}</text>`));
  label(rows, left - 8, "end");
  label(columns, right + 8, "start");
  body.push(`<text x="16" y="46" font-size="12" opacity="0.75" fill="${colors.ink}">${escapeXml(["queries left, keys right", ...signsOf(how.signed, links.length), ...how.notes].join(" · "))}</text>`);
  const count = Math.max(rows.labels.length, columns.labels.length);
  return frame(780, top + count * step + 24, how.title, colors, body);
}

/** A picture of pixels, named and framed. */
export function pictureSvg(canvas, title, colors) {
  const body = [`<image x="16" y="40" width="${canvas.width}" height="${canvas.height}" xlink:href="${canvas.toDataURL("image/png")}"/>`];
  return frame(canvas.width + 32, canvas.height + 56, title, colors, body);
}

/** A table of colours and numbers, such as the measures. @param {{label: string, cells: string[], shares: number[]}[]} lines */
export function gridSvg(title, lines, palette, colors) {
  const body = [];
  lines.forEach(({ label, cells, shares, palette: own = palette }, r) => {
    const table = ramp(own, colors.dark);
    const y = 48 + r * 26;
    body.push(`<text x="112" y="${y + 17}" font-size="12" text-anchor="end" fill="${colors.ink}">${escapeXml(shorten(label, 18))}</text>`);
    cells.forEach((text, c) => {
      const x = 120 + c * 76;
      body.push(`<rect x="${x}" y="${y}" width="74" height="24" rx="3" fill="${hex(cssColor(table, shares[c]))}"/>`);
      body.push(`<text x="${x + 37}" y="${y + 16}" font-size="11" text-anchor="middle" fill="${inkOn(table, shares[c])}">${escapeXml(shorten(text, 10))}</text>`);
    });
  });
  const most = Math.max(...lines.map((line) => line.cells.length));
  return frame(136 + most * 76, 64 + lines.length * 26, title, colors, body);
}
