// Small helpers for the document and for canvases. Text only ever goes in as text.

/** An element with properties, attributes (names with a dash, `role`) and children. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && name !== "role") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.map((child) => child ?? ""));
  return made;
}

export const byId = (id) => document.getElementById(id);

export const hint = (text, tag = "p") => el(tag, { className: "hint", textContent: text });

/** A sentence in which no line breaks inside a number: 3e-34. */
export const unbroken = (text) => text.replace(/(\de)-(?=\d)/g, "$1-\u2060");

/** Text of strangers, kept from turning the direction of what stands around it. */
export function isolated(text) {
  return el("bdi", { textContent: text });
}

/** Of what stands in a row that scrolls: bring one into sight. */
export function slideTo(one) {
  const row = one.parentElement;
  const [{ left, right }, whole] = [one.getBoundingClientRect(), row.getBoundingClientRect()];
  row.scrollLeft += Math.max(0, right - whole.right) || Math.min(0, left - whole.left);
}

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

let theme = null;

/** The colours of the page for drawing; asked of the browser once for each theme. */
export function themeColors() {
  const dark = isDark();
  if (theme?.dark === dark) return theme;
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  theme = {
    ink: of("ink"), muted: of("muted"), line: of("line"), ground: of("ground"),
    accent: of("accent"), masked: of("masked"), warn: of("warn"), dark,
  };
  return theme;
}

export const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

/** Size a canvas in CSS pixels, sharp on this screen; gives its cleared context. */
export function sizeCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const pixels = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  // Setting a size makes the canvas anew, which takes longer than clearing it.
  if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) {
    [canvas.width, canvas.height] = pixels;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

const widths = new Map();

/** `text` cut to `most` pixels of the context's font; both ends are kept. */
export function fitText(context, text, most) {
  const key = `${context.font}|${Math.round(most)}|${text}`;
  let fitted = widths.get(key);
  if (fitted === undefined) {
    const letters = Array.from(text);
    fitted = text;
    let keep = Math.min(letters.length, 80);
    while (keep > 2 && context.measureText(fitted).width > most) {
      keep = Math.max(2, Math.min(keep - 1, Math.floor(keep * 0.9)));
      const head = Math.ceil(keep * 0.6);
      fitted = `${letters.slice(0, head).join("")}…${letters.slice(letters.length - (keep - head)).join("")}`;
    }
    if (widths.size > 20000) widths.clear();
    widths.set(key, fitted);
  }
  return fitted;
}

/** Draw `text` cut to fit, kept apart from the direction of what is around it. */
export function drawText(context, text, x, y, most) {
  context.fillText(`\u2068${fitText(context, text, most)}\u2069`, x, y);
}

/** A weight as people read it. */
export function formatWeight(weight) {
  if (weight === null || weight === undefined) return "–";
  if (weight === 0) return "0";
  const size = Math.abs(weight);
  if (size < 0.0001) return weight.toExponential(1);
  return weight.toFixed(size < 0.01 ? 5 : 4);
}

/** Run `draw` once before the next frame, however often it is asked for. */
export function onceAFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}
