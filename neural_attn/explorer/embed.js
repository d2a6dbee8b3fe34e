// A page in a frame: what stands round it may choose what is shown, and is told.
import { fromHash, toHash } from "./state.js";

/**
 * Answer a parent that asks. It posts { neuralAttn: "#layer=…" }, where "" only asks; it
 * gets { neuralAttn: "#layer=…" } now, and whenever the selection changes. A page that
 * nobody asks says nothing.
 */
export function listenToParent(store, header) {
  let tell = null;
  window.addEventListener("message", ({ data, source }) => {
    if (source !== window.parent || source === window || typeof data?.neuralAttn !== "string") return;
    tell = () => source.postMessage({ neuralAttn: toHash(store.state, header) }, "*");
    const before = store.state;
    if (data.neuralAttn) store.set({ example: 0, query: -1, key: -1, ...fromHash(data.neuralAttn, header) });
    if (store.state === before) tell();
  });
  store.listeners.push(() => tell?.());
}
