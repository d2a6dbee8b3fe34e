// Colours of weights and heads: even steps, the same to colour-blind eyes.

const RAMPS = {
  blue: {
    light: ["#f7fafd", "#cfe1f2", "#93c3e6", "#4a98cf", "#1a6bb0", "#08306b"],
    dark: ["#191e24", "#17395a", "#1f5f95", "#3a8fcb", "#86c5ee", "#eaf6ff"],
  },
  viridis: {
    light: ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"],
    dark: ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"],
  },
  grey: {
    light: ["#fafafa", "#d9d9d9", "#b0b0b0", "#808080", "#4d4d4d", "#111111"],
    dark: ["#1b1e21", "#3a3d41", "#5e6267", "#8b9096", "#bfc4c9", "#fbfcfd"],
  },
};
const DIVERGING = {
  light: ["#8a3a08", "#d97a34", "#f6cda6", "#f7f7f7", "#a9cdea", "#3d86c0", "#0b3c70"],
  dark: ["#ffd0a6", "#e08a45", "#6b4020", "#1d2126", "#1f4d75", "#4d9bd8", "#cfe8fb"],
};
/** Okabe and Ito's colours first, then others that keep their distance. */
const HEADS = {
  light: ["#0a5ca8", "#c4511a", "#007a5a", "#a8457f", "#7a6400", "#3b3f9e",
    "#7d2e2e", "#2f7d9c", "#5a5f66", "#8f4fc4", "#4f7a1e", "#b03058"],
  dark: ["#79b8f5", "#f0935a", "#3fd0a4", "#eb9fcb", "#e3cf55", "#a9adff",
    "#e08c8c", "#7fd3ef", "#b9c0c8", "#cfa6f5", "#a5d46a", "#ff86a8"],
};

/** Red, green and blue of "#rrggbb", 0 to 255. */
export function channels(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

/** 256 colours along the stops, as [r, g, b] triples in one array. */
export function rampOf(stops) {
  const points = stops.map(channels);
  const table = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (points.length - 1);
    const low = Math.min(Math.floor(place), points.length - 2);
    for (let c = 0; c < 3; c++) {
      table[3 * i + c] = Math.round(points[low][c] + (points[low + 1][c] - points[low][c]) * (place - low));
    }
  }
  return table;
}

const ramps = new Map();

/** @param {string} palette or "difference" @param {boolean} dark */
export function ramp(palette, dark) {
  const key = `${palette}${dark}`;
  if (!ramps.has(key)) {
    const family = palette === "difference" ? DIVERGING : RAMPS[palette];
    ramps.set(key, rampOf(family[dark ? "dark" : "light"]));
  }
  return ramps.get(key);
}

/** The colour of the first, second, ... of the heads shown together. */
export function headColor(order, dark) {
  const family = HEADS[dark ? "dark" : "light"];
  return family[order % family.length];
}

/** The share of a scale that a weight of 0 or more fills, 0 to 1; of "head" it is linear. */
export function shareOf(weight, greatest, scale) {
  if (!(greatest > 0)) return 0;
  const share = Math.min(weight / greatest, 1);
  if (scale === "sqrt") return Math.sqrt(share);
  if (scale === "head") return share;
  // Four decades: what is below one ten-thousandth of the greatest counts as 0.
  return share <= 1e-4 ? 0 : 1 + Math.log10(share) / 4;
}

/** Where a weight stands on its ramp, 0 to 1; 0 is in the middle of signed ones. */
export function placeOf(weight, greatest, scale, signed) {
  if (!signed) return shareOf(weight, greatest, scale);
  return (1 + Math.sign(weight) * shareOf(Math.abs(weight), greatest, scale)) / 2;
}

/** The colour of a signed weight: blue above 0, orange below. */
export const signColor = (weight, dark) => headColor(weight < 0 ? 1 : 0, dark);

/** A CSS colour. @param {Uint8Array} table */
export function cssColor(table, share) {
  const at = 3 * Math.round(Math.min(Math.max(share, 0), 1) * 255);
  return `rgb(${table[at]} ${table[at + 1]} ${table[at + 2]})`;
}

/** Black or white, whichever reads better on the colour. */
export function inkOn(table, share) {
  const at = 3 * Math.round(Math.min(Math.max(share, 0), 1) * 255);
  const [r, g, b] = [0, 1, 2].map((c) => {
    const v = table[at + c] / 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  });
  const light = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return light > 0.179 ? "#000000" : "#ffffff";
}
