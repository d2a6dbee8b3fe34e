// A text as it was written, token by token: what was likely, and what each step looked at.

import { el, formatWeight, hint, isDark, isolated } from "./dom.js";
import { cssColor, inkOn, placeOf, ramp } from "./colors.js";
import { dataTable, headCell, numberCell, tableBox } from "./table.js";
import { greatestOf } from "./transform.js";

const percent = (share) => (share >= 0.0005 || share === 0 ? `${(100 * share).toFixed(1)} %` : "< 0.1 %");

/** What a network wrote of an example; nothing where it wrote none. */
export const writtenOf = (source, example) => source.written?.[example];

/** The panel of a generation. */
export class StepsView {
  constructor(scene, panel) {
    this.scene = scene;
    this.heading = el("h2");
    const by = (step, text, label) => {
      const button = el("button", { textContent: text, "aria-label": label });
      button.onclick = () => this.move(step);
      return button;
    };
    [this.before, this.after] = [by(-1, "‹", "Token before"), by(1, "›", "Token after")];
    this.all = el("input", { type: "checkbox" });
    this.all.onchange = () => scene.store.set({ mean: this.all.checked });
    this.body = el("div");
    this.table = dataTable(() => this.parts.map(({ title, labels, row }) => listed(title, labels, row)));
    panel.replaceChildren(
      el("div", { className: "row" }, this.heading, el("span", { className: "stepper" }, this.before, this.after)),
      el("p", { className: "checks field" }, el("label", {}, this.all, " Mean over all heads of the layer")), this.body, this.table.element);
  }

  get written() { return writtenOf(this.scene.source, this.scene.state.example); }

  /** The step shown: the selected one, within what was written. */
  get step() { return Math.min(this.scene.state.step, this.written.steps.length - 1); }

  move(by) {
    const step = this.step + by;
    if (step >= 0 && step < this.written.steps.length) this.scene.store.set({ step });
  }

  /** The decoder's maps of the selected layer, else of its last layer. */
  maps() {
    const { source, map } = this.scene;
    const decoder = source.maps.filter((one) => one.kind !== "encoder_self" || one.causal);
    const layers = decoder.map((one) => one.layer);
    const layer = layers.includes(map.layer) ? map.layer : layers[layers.length - 1];
    return decoder.filter((one) => one.layer === layer);
  }

  /** What the step's row of a map gives to its keys. */
  async part(map) {
    const { scene } = this;
    const about = scene.about({ map: scene.source.maps.indexOf(map) });
    const { example, keyText, number } = about;
    const chosen = Math.min(scene.state.head, map.heads.length - 1);
    const heads = scene.state.mean ? map.heads.map((_, head) => head) : [chosen];
    const at = this.written.first + this.step - example.query_start;
    const own = map.kind !== "cross";
    const count = own ? Math.min(at + 1, example.columns) : example.columns;
    const row = new Float32Array(count);
    for (const head of heads) {
      const weights = await scene.payload.head(about.source, about.map, number, head);
      weights.row(at).subarray(0, count).forEach((weight, i) => { row[i] += weight / heads.length; });
    }
    const labels = keyText.shown.slice(example.key_start, example.key_start + count);
    const which = scene.state.mean ? `mean over ${heads.length} heads` : `head ${map.heads[chosen]}`;
    const title = `${own ? "What came before" : "The source"}: layer ${map.layer}, ${which}`;
    return { title, labels, row, own, place: about.map };
  }

  async show() {
    if (!this.written) return;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const parts = await Promise.all(this.maps().map((map) => this.part(map)));
    if (turn !== this.turn) return;
    this.parts = parts.sort((a, b) => a.own - b.own); // the source first
    const { steps, tokens, first, forced } = this.written;
    const { step } = this;
    this.all.checked = this.scene.state.mean;
    [this.before.disabled, this.after.disabled] = [step === 0, step === steps.length - 1];
    this.heading.replaceChildren(`Token ${step + 1} of ${steps.length}: `, isolated(tokens[first + step + 1]));
    const fed = el("p", { className: "readout" }, "Fed ", el("b", {}, isolated(tokens[first + step])), forced ? ", the given token is " : ", the network wrote ",
      el("b", {}, isolated(tokens[first + step + 1])), `: ${percent(steps[step].p)}.`);
    const scrolled = this.body.querySelector(".strip")?.scrollTop ?? 0;
    this.body.replaceChildren(this.text(), el("div", { className: "columns" },
      el("div", {}, fed, this.chances()), el("div", {}, ...this.parts.map((part) => this.strip(part)))));
    this.body.querySelector(".strip").scrollTop = scrolled;
    this.table.refresh();
  }

  /** The whole text; what is not written yet is pale. Click to go to a token. */
  text() {
    const { steps, tokens, first } = this.written;
    const table = ramp(this.scene.state.palette, isDark());
    const strip = el("div", { className: "strip", role: "group", "aria-label": "The text; colour: the probability of each token" });
    tokens.forEach((token, position) => {
      const at = position - first - 1;
      if (at < 0) {
        strip.append(el("span", { className: "given", title: "given" }, isolated(token)), " ");
        return;
      }
      const button = el("button", { title: `probability ${percent(steps[at].p)}` }, isolated(token));
      button.style.background = cssColor(table, steps[at].p);
      button.style.color = inkOn(table, steps[at].p);
      button.tabIndex = -1; // the arrows and the buttons above go there
      button.classList.toggle("later", at > this.step);
      button.setAttribute("aria-pressed", String(at === this.step));
      button.onclick = () => this.scene.store.set({ step: at });
      strip.append(button);
    });
    return strip;
  }

  /** The token that was chosen among its rivals, the likeliest first. */
  chances() {
    const { steps, tokens, first } = this.written;
    const { p, rivals } = steps[this.step];
    const all = [[tokens[first + this.step + 1], p, true], ...rivals].sort((a, b) => b[1] - a[1]);
    const rows = all.map(([token, share, chosen]) => {
      const bar = el("span", { className: "bar" });
      bar.style.width = `${Math.max(1, 110 * share)}px`;
      const name = el("td", { className: "token" }, isolated(token), chosen ? " ✓" : "");
      return el("tr", { className: chosen ? "chosen" : "" }, name, el("td", {}, bar, percent(share)));
    });
    const title = `Probability of the token ${this.written.forced ? "given" : "written"} (✓) and of its alternatives`;
    return el("div", {}, hint(title), tableBox(title, ["Token", "Probability"].map((text) => headCell(text)), rows));
  }

  strip({ title, labels, row, place }) {
    const { scale } = this.scene.state;
    const signed = this.scene.isSigned(place);
    const table = ramp(this.scene.paletteOf(place), isDark());
    const most = greatestOf(row);
    const strip = el("div", { className: "strip", role: "group", tabIndex: 0, "aria-label": title });
    labels.forEach((label, i) => {
      const share = placeOf(row[i], this.scene.topOf(most), scale, signed);
      const token = el("span", { className: "key", title: `weight ${formatWeight(row[i])}` }, isolated(label));
      token.style.background = cssColor(table, share);
      token.style.color = inkOn(table, share);
      strip.append(token);
    });
    return el("div", {}, hint(`${title}. Up to ${formatWeight(most)}.`), strip);
  }

  /** Rows of a CSV: each step with its rivals. */
  rows() {
    const { steps, tokens, first } = this.written;
    const rows = steps.flatMap(({ p, rivals }, i) => [[tokens[first + i + 1], p], ...rivals]
      .map(([token, share], rank) => [i + 1, tokens[first + i], rank ? "rival" : "chosen", token, share]));
    return [["step", "fed", "role", "token", "probability"], ...rows];
  }

  /** The step as lines of a grid: its chances, and what it looked at. */
  lines() {
    const { steps, tokens, first } = this.written;
    const { p, rivals } = steps[this.step];
    const chances = [[tokens[first + this.step + 1], p], ...rivals];
    const looks = this.parts.map(({ title, labels, row, place }) => ({
      label: title.split(":")[0], cells: labels, palette: this.scene.paletteOf(place),
      shares: Array.from(row, (weight) => placeOf(weight, this.scene.topOf(greatestOf(row)), this.scene.state.scale, this.scene.isSigned(place))),
    }));
    const cells = chances.map(([token, share]) => `${token} ${percent(share)}`);
    return [{ label: "Chosen, rivals", cells, shares: chances.map(([, share]) => share) }, ...looks];
  }
}

function listed(title, labels, row) {
  const rows = labels.map((label, i) => el("tr", {}, numberCell(i), el("td", { className: "token" }, isolated(label)), numberCell(formatWeight(row[i]))));
  return tableBox(title, ["position", title, "weight"].map((text) => headCell(text)), rows);
}
