// Does the model need what the map on screen shows? Deletion and insertion, measured on request, drawn as curves.

import { attribute, element, put, say } from "./elements.js";
import { pack } from "./payload.js";

const ORDERS = { map: "this map", centre: "centre first", random: "random" };
const CURVES = { deletion: "Deletion: best patches out first", insertion: "Insertion: best patches in first" };
const SIZE = [220, 130];
const SVG = "http://www.w3.org/2000/svg";

export class FaithfulnessPane {
  /** `view` has the scene on screen (`panes.map.scene`), the record and `attention.ask`. */
  constructor(view) {
    Object.assign(this, { view, running: null, result: null });
    this.start = element("button", { type: "button", className: "dcal-measure", onclick: () => this.toggle() }, "Measure this map");
    this.bar = element("progress", { max: 1, value: 0, "aria-label": "Progress of the measurement" });
    this.status = element("p", { className: "dcal-about", role: "status" });
    this.charts = element("div", { className: "dcal-charts" });
    this.table = element("div", { className: "dcal-areas" });
    this.note = element("p", { className: "dcal-score" });
    const about = "The answer while patches are blurred in this order (deletion), or come back out of the blur (insertion).";
    this.element = element(
      "section",
      { className: "dcal-pane", "data-pane": "faithfulness", hidden: true },
      element("header", {}, element("h3", {}, "Faithfulness"), element("p", { className: "dcal-about" }, about)),
      element("div", { className: "dcal-run" }, this.start, this.bar),
      ...[this.status, this.charts, this.table, this.note],
    );
  }

  /** What the button says and whether the curves are those of the map on screen. */
  show(scene) {
    this.scene = scene;
    const measurable = Boolean(scene.values) && !scene.mask && !scene.waiting;
    put(this.start, "disabled", !measurable && !this.running);
    say(this.start, this.running ? "Stop" : "Measure this map");
    put(this.bar, "hidden", !this.running);
    if (!this.running) say(this.status, this.words(measurable));
  }

  words(measurable) {
    if (this.failure) return this.failure;
    if (!measurable) return "Choose a map of numbers: this one ranks no patches.";
    if (this.result && this.result.title !== this.scene.title) return `The curves below are about another map: ${this.result.title}.`;
    return this.result ? this.result.title : "20 passes of the model, against five random orders and the centre first.";
  }

  toggle() {
    if (this.running) this.cancel();
    else this.run();
  }

  cancel() {
    const { running } = this;
    this.running = null;
    if (running?.job) this.view.attention.ask({ kind: "measure", job: running.job, stop: true }).catch(() => {});
    if (this.scene) this.show(this.scene);
  }

  async run() {
    const { view, scene } = this;
    const { attention, seen } = view;
    const running = { job: null };
    Object.assign(this, { running, failure: "" });
    this.show(scene);
    let request = { kind: "measure", values: pack(scene.values, [seen.rows, seen.cols]), target: scene.map?.source?.target ?? null };
    try {
      while (this.running === running) {
        const step = await attention.ask(request);
        if (this.running !== running) break;
        Object.assign(running, { job: step.job });
        this.bar.value = step.done / step.total;
        say(this.status, `${scene.title}: pass ${step.done} of ${step.total}`);
        request = { kind: "measure", job: step.job };
        if (step.result) return this.finish({ ...step.result, title: scene.title });
      }
    } catch (error) {
      if (this.running === running) this.failure = `${error?.message || error}`;
    }
    if (this.running === running) this.finish(this.result);
  }

  finish(result) {
    Object.assign(this, { running: null, result });
    if (result) {
      this.charts.replaceChildren(...Object.keys(CURVES).map((name) => chart(name, result)));
      this.table.replaceChildren(areas(result));
      const [low, high] = result.random.map(written);
      say(this.note, `Score, insertion − deletion: ${written(result.scores.map)}; the five random orders reach ${low} to ${high}.`);
    }
    if (this.scene) this.show(this.scene);
  }
}

function written(value) {
  return value.toFixed(3).replace("-", "−");
}

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) attribute(made, name, value);
  made.append(...children);
  return made;
}

/** One curve a line over the share of patches changed, with both ends of the axes written. */
function chart(name, result) {
  const curves = result.curves[name];
  const all = [...Object.values(result.curves.deletion).flat(), ...Object.values(result.curves.insertion).flat()];
  const [low, high] = [Math.min(0, ...all), Math.max(...all, 1e-9)];
  const [width, height] = SIZE;
  const at = (share, value) => `${(share * width).toFixed(1)},${(height - ((value - low) / (high - low)) * height).toFixed(1)}`;
  const lines = Object.keys(ORDERS).reverse().map((order) => {
    return svg("polyline", { class: `dcal-line-${order}`, points: curves[order].map((value, i) => at(result.shares[i], value)).join(" ") });
  });
  const label = `${CURVES[name]}. Area ${Object.entries(ORDERS).map(([order, words]) => `${words} ${written(result.areas[name][order])}`).join(", ")}.`;
  const drawing = svg("svg", { viewBox: `-2 -2 ${width + 4} ${height + 4}`, role: "img", "aria-label": label }, svg("rect", { class: "dcal-frame", width, height }), ...lines);
  const axis = element("figcaption", {}, element("span", {}, "0\u202f%"), element("span", {}, "of the patches"), element("span", {}, "100\u202f%"));
  return element("figure", {}, element("h4", {}, CURVES[name]), drawing, axis);
}

/** The areas as a table, which is the curves' legend too. */
function areas(result) {
  const head = element("tr", {}, element("td", {}), ...["deletion ↓", "insertion ↑", "score"].map((name) => element("th", { scope: "col" }, name)));
  const rows = Object.entries(ORDERS).map(([order, words]) => {
    const cells = [result.areas.deletion[order], result.areas.insertion[order], result.scores[order]];
    const key = element("i", { className: `dcal-key dcal-key-${order}`, "aria-hidden": "true" });
    return element("tr", {}, element("th", { scope: "row" }, key, words), ...cells.map((value) => element("td", {}, written(value))));
  });
  return element("table", {}, element("caption", {}, "Areas under the curves"), element("thead", {}, head), element("tbody", {}, ...rows));
}
