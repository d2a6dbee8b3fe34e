// The explorer in a notebook: a frame, whose selection is the model's `selection`.
const NUMBERS = ["model", "example", "layer", "head", "query", "key"];

/** A selection as the page's link. */
function toLink(selection) {
  const fields = Object.entries(selection).filter(([, value]) => value !== null && value !== undefined);
  return fields.length ? `#${new URLSearchParams(fields)}` : "";
}

/** What the page says as a selection: whole numbers; a query that is not chosen is null. */
function fromLink(link) {
  const fields = new URLSearchParams(link.slice(1));
  const selection = { example: 0, query: null };
  for (const name of NUMBERS) if (fields.has(name)) selection[name] = Number(fields.get(name));
  for (const name of ["kind", "view"]) if (fields.has(name)) selection[name] = fields.get(name);
  return selection;
}

const same = (a, b) => toLink(Object.fromEntries(Object.entries(a).sort())) === toLink(Object.fromEntries(Object.entries(b).sort()));

function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.title = "Attention explorer";
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  const ask = () => frame.contentWindow?.postMessage({ neuralAttn: toLink(model.get("selection")) }, "*");
  const draw = () => {
    frame.style.cssText = `width:100%;height:${Number(model.get("height"))}px;border:0`;
    frame.srcdoc = model.get("page");
  };
  const hear = ({ source, data }) => {
    if (source !== frame.contentWindow || typeof data?.neuralAttn !== "string") return;
    const selection = fromLink(data.neuralAttn);
    if (same(selection, model.get("selection"))) return;
    model.set("selection", selection);
    model.save_changes();
  };
  frame.addEventListener("load", ask);
  window.addEventListener("message", hear);
  model.on("change:selection", ask);
  model.on("change:page", draw);
  draw();
  el.append(frame);
  return () => {
    window.removeEventListener("message", hear);
    model.off("change:selection", ask);
    model.off("change:page", draw);
  };
}

export default { render };
