// What stands out: the sentences of the analysis, each with a picture of a head that it is about.

import { byId, el, hint, slideTo, unbroken } from "./dom.js";

const CARD = 56;

/** The sentences as buttons; a click leads to the head, and further ones to the next of its heads. */
export class Cards {
  constructor(scene, model) {
    this.scene = scene;
    this.model = model;
    this.shown = [];
    const [cards, opener] = [byId("cards"), byId("in-full")];
    opener.onclick = () => {
      const full = cards.classList.toggle("full");
      opener.setAttribute("aria-expanded", String(full));
      opener.textContent = full ? "Show less" : "Read in full";
    };
    // Where all sentences fit their cards, there is nothing to open.
    new ResizeObserver(() => {
      opener.hidden = !cards.matches(".full") && this.shown.every(({ said }) => said.scrollHeight <= said.clientHeight);
    }).observe(cards);
    model.painted = (map, head) => this.paint(map, head);
  }

  show() {
    const { source } = this.scene;
    if (source !== this.source) this.build(source);
    byId("told-of").hidden = !this.scene.hides;
    this.mark();
  }

  build(source) {
    this.source = source;
    this.shown = source.highlights.map(({ sentence, heads }) => this.card(sentence, heads));
    const none = source.untold ? `Not looked for: ${source.untold}.` : "Nothing special was found.";
    byId("cards").replaceChildren(...(this.shown.length ? this.shown.map(({ button }) => button) : [hint(none)]));
  }

  card(sentence, heads) {
    const said = el("span", { textContent: unbroken(sentence) });
    // Of the whole network, or that too little is known: no head to show or to go to.
    if (!heads.length) return { heads, said, button: el("div", { className: "card" }, said) };
    const picture = el("canvas", { "aria-hidden": "true" });
    const place = el("small");
    const button = el("button", { className: "card" }, picture, el("div", {}, said, place));
    const card = { heads, said, picture, place, button, at: 0 };
    button.onclick = () => {
      const [map, head] = heads[card.chosen ? (card.at + 1) % heads.length : card.at];
      const { view } = this.scene.state;
      this.scene.store.set({ map, head, view: view === "head" ? view : "matrix" });
    };
    return card;
  }

  /** Say which cards are about the selected head, and which of their heads they show. */
  mark() {
    const { map, head } = this.scene.state;
    let slid = false; // several may be about one head: the first comes into sight
    for (const card of this.shown) {
      const { heads, button, place } = card;
      if (!heads.length) continue;
      const at = heads.findIndex(([m, h]) => m === map && h === head);
      card.chosen = at >= 0;
      if (card.chosen) card.at = at;
      if (card.chosen && !slid && button.getAttribute("aria-pressed") !== "true") {
        slideTo(button);
        slid = true;
      }
      button.setAttribute("aria-pressed", String(card.chosen));
      const [m, h] = heads[card.at];
      const name = this.scene.headName({ map: m, head: h });
      place.textContent = heads.length > 1 ? `${name}, ${card.at + 1} of ${heads.length}` : name;
      this.paint(m, h);
    }
  }

  /** Draw a head where a card shows it, once its thumbnail is there. */
  paint(map, head) {
    for (const { heads, at, picture } of this.shown) {
      if (heads[at]?.[0] !== map || heads[at][1] !== head) continue;
      const side = CARD * (window.devicePixelRatio || 1);
      const thumbnail = this.model.thumbnail(`${map},${head}`, side);
      if (!thumbnail) continue;
      picture.width = side;
      picture.height = side;
      const context = picture.getContext("2d");
      context.imageSmoothingEnabled = false;
      context.drawImage(thumbnail, 0, 0, side, side);
    }
  }
}
