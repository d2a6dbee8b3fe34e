// The explorer in a notebook: a frame, whose selection is the model's `selection`.
const NUMBERS = ["model", "example", "layer", "head", "query", "key"];

/** A selection as the page's link. */
function toLink(selection) {
  const fields = Object.entries(selection).filter(([, value]) => value !== null && value !== undefined);
  return fields.length ? `#${new URLSearchParams(fields)}` : "";
}

/**
 * What the page says as a selection: whole numbers; a token that is not chosen is null.
 * What links leave out as usual is said too, so that another frame can follow back to it.
 */
function fromLink(link) {
  const fields = new URLSearchParams(link.slice(1));
  const selection = { example: 0, query: null, key: null, view: "matrix" };
  for (const name of NUMBERS) if (fields.has(name)) selection[name] = Number(fields.get(name));
  for (const name of ["kind", "view"]) if (fields.has(name)) selection[name] = fields.get(name);
  return selection;
}

const same = (a, b) => toLink(Object.fromEntries(Object.entries(a).sort())) === toLink(Object.fromEntries(Object.entries(b).sort()));

/** The page in JupyterLab's theme, unless it has one; elsewhere it is in the system's. */
function themed(page) {
  const theme = { true: "light", false: "dark" }[document.body.dataset.jpThemeLight];
  return theme ? page.replace("<html lang", `<html data-theme="${theme}" lang`) : page;
}

function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.title = "Attention explorer";
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  // A selection that this page told of is not told to it again: it may be further by now.
  let hearing = false;
  const ask = () => {
    if (!hearing) frame.contentWindow?.postMessage({ neuralAttn: toLink(model.get("selection")) }, "*");
  };
  const draw = () => { frame.srcdoc = themed(model.get("page")); };
  const size = () => { frame.style.cssText = `width:100%;height:${Number(model.get("height"))}px;border:0`; };
  const hear = ({ source, data }) => {
    if (source !== frame.contentWindow || typeof data?.neuralAttn !== "string") return;
    const selection = fromLink(data.neuralAttn);
    if (same(selection, model.get("selection"))) return;
    hearing = true;
    model.set("selection", selection);
    hearing = false;
    model.save_changes();
  };
  const themes = new MutationObserver(draw);
  themes.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  frame.addEventListener("load", ask);
  window.addEventListener("message", hear);
  model.on("change:selection", ask);
  model.on("change:page", draw);
  model.on("change:height", size);
  size();
  draw();
  el.append(frame);
  return () => {
    themes.disconnect();
    window.removeEventListener("message", hear);
    model.off("change:selection", ask);
    model.off("change:page", draw);
    model.off("change:height", size);
  };
}

export default { render };
