// A pane: the image with one map over it, what the map is, its colour bar, and the value under the cursor.

import { attribute, element, put, say } from "./elements.js";
import { ends, writer } from "./numbers.js";
import { outline, paintColours, paintMap, paintSelection } from "./paint.js";
import { patchAt, patchRect, placeName } from "./placement.js";

const LARGEST = 2048; // pixels of a canvas's longer side
const KEYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export class Pane {
  /** `view` answers `point(pane, patch)`, `keep(patch)`, `step(pane, rows, columns)`, `ground(width, height)`. */
  constructor(view, name, ...captioned) {
    Object.assign(this, { view, name, scene: null, drawn: "" });
    this.canvas = element("canvas", { role: "img", "aria-label": "" });
    this.outlines = Object.fromEntries(
      ["outlier", "kept", "pointed"].map((kind) => [kind, element("div", { className: `dcal-outline dcal-${kind}`, hidden: true })]),
    );
    this.veilText = element("span", { role: "status" });
    this.again = element("button", { type: "button", onclick: () => this.view.again() }, "Try again");
    this.veil = element("div", { className: "dcal-veil", hidden: true }, this.veilText, this.again);
    const first = patchRect(view.seen, 0);
    for (const outline of Object.values(this.outlines)) {
      for (const side of ["left", "top", "width", "height"]) outline.style[side] = `${100 * first[side]}%`;
    }
    this.stage = element(
      "div",
      {
        className: "dcal-stage",
        tabIndex: 0,
        role: "group",
        "aria-label": `${name === "map" ? "Map" : "Attention"}: arrow keys move the kept patch, Escape releases it`,
        onpointermove: (event) => this.view.point(this, this.patchUnder(event)),
        onpointerleave: () => this.view.point(this, null),
        onclick: (event) => this.click(event),
        onkeydown: (event) => this.key(event),
      },
      this.canvas,
      ...Object.values(this.outlines),
      this.veil,
    );
    this.title = element("h3", {});
    this.about = element("p", { className: "dcal-about" });
    this.quantity = element("span", { className: "dcal-quantity" });
    this.ends = [element("span", { className: "dcal-low" }), element("span", { className: "dcal-high" })];
    this.ramp = element("canvas", { width: 256, height: 1, "aria-hidden": "true" });
    this.needle = element("i", { className: "dcal-needle", hidden: true });
    this.note = element("span", { className: "dcal-note" });
    const ramp = element("span", { className: "dcal-ramp" }, this.ramp, this.needle);
    this.scale = element("div", { className: "dcal-scale" }, this.ends[0], ramp, this.ends[1]);
    this.readout = element("p", { className: "dcal-readout" });
    this.score = element("p", { className: "dcal-score" });
    this.element = element(
      "section",
      { className: "dcal-pane", "data-pane": name },
      element("header", {}, this.title, ...captioned, this.about),
      this.stage,
      element("div", { className: "dcal-legend" }, this.quantity, this.note),
      this.scale,
      this.readout,
      this.score,
    );
  }

  patchUnder(event) {
    const box = this.canvas.getBoundingClientRect();
    return patchAt(this.view.seen, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  click(event) {
    if (this.veil.contains(event.target)) return;
    const patch = this.patchUnder(event);
    if (patch !== null) this.view.keep(patch);
    else this.view.announce("The model saw nothing there. Click inside the bright part.");
  }

  key(event) {
    if (event.target !== this.stage || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key in KEYS) this.view.step(...KEYS[event.key]);
    else if (event.key === "Escape" && this.view.state.kept !== null) this.view.keep(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Fit the canvas to its place on the screen; true if it changed. */
  fit() {
    const box = this.stage.getBoundingClientRect();
    const ratio = Math.min(globalThis.devicePixelRatio || 1, LARGEST / Math.max(box.width, box.height, 1));
    const [width, height] = [box.width, box.height].map((side) => Math.max(1, Math.round(side * ratio)));
    if (width === this.canvas.width && height === this.canvas.height) return false;
    [this.canvas.width, this.canvas.height] = [width, height];
    this.drawn = "";
    return true;
  }

  /** Show a scene (see scenes.js), or why there is none: {title, about, quantity, waiting: text}. */
  show(scene) {
    const { state, seen } = this.view;
    this.scene = scene;
    say(this.title, scene.heading ?? scene.title);
    say(this.about, scene.about);
    attribute(this.about, "title", scene.about); // it may be longer than its place
    say(this.score, scene.score ?? "");
    put(this.veil, "hidden", !scene.waiting);
    put(this.again, "hidden", !scene.failed);
    say(this.veilText, scene.waiting ?? "");
    this.paint(scene, state, seen);
    this.legend(scene);
    this.mark();
  }

  paint(scene, state, seen) {
    const { canvas } = this;
    const context = canvas.getContext("2d");
    const ground = this.view.ground(canvas.width, canvas.height);
    if (!ground) return;
    if (scene.waiting) context.drawImage(ground.bright, 0, 0);
    else if (scene.colours) paintColours(context, ground, scene.colours, state.opacity);
    else if (scene.mask) paintSelection(context, ground, scene.mask);
    else paintMap(context, ground, scene, state.opacity, state.smooth);
    if (!scene.waiting && scene.map?.branch === "glca" && seen.selected && state.outlined && !scene.mask) {
      outline(context, ground.grid, this.view.selected);
    }
  }

  legend(scene) {
    const without = Boolean(scene.waiting || scene.mask || scene.colours);
    attribute(this.scale, "data-empty", without);
    if (without) {
      say(this.quantity, scene.waiting ? "" : scene.quantity);
      say(this.note, "");
      return;
    }
    this.writer = writer(scene.unit, Math.max(Math.abs(scene.low), Math.abs(scene.high)));
    const { write, power } = this.writer;
    const [low, high] = ends(write, scene.low, scene.high);
    say(this.quantity, power ? `${scene.quantity}, ${power}` : scene.quantity);
    say(this.ends[0], (scene.under ? "≤ " : "") + low);
    say(this.ends[1], (scene.over ? "≥ " : "") + high);
    say(this.note, this.remark(scene, write));
    if (this.table === scene.table) return;
    this.table = scene.table;
    const pixels = new ImageData(256, 1);
    for (let i = 0; i < 256; i += 1) pixels.data.set([...scene.table.subarray(3 * i, 3 * i + 3), 255], 4 * i);
    this.ramp.getContext("2d").putImageData(pixels, 0, 0);
  }

  remark(scene, write) {
    if (scene.flat) return `Constant: every patch has ${write(scene.own.low)}.`;
    if (!scene.outliers) return "";
    const { patches, held, share } = scene.outliers;
    if (scene.unit === "size") return patches.length === 1 ? "1 token is an outlier" : `${patches.length} tokens are outliers`;
    const of = scene.unit === "share" ? writer("share", held).write(held, 2) : `${writer("share", share).write(share, 2)} of the sum`;
    return patches.length === 1 ? `1 patch holds ${of}` : `${patches.length} patches hold ${of}`;
  }

  /** Outline the patch pointed at, the one kept and the outliers, and write the value under the cursor. */
  mark() {
    const { state, seen } = this.view;
    const far = this.scene.outliers?.patches[0] ?? null;
    for (const [kind, patch] of [["outlier", far], ["kept", state.kept], ["pointed", state.shown]]) {
      const target = this.outlines[kind];
      put(target, "hidden", patch === null);
      if (patch === null) continue;
      // Moved by its own size, which needs no layout: it stands on the first patch.
      put(target.style, "transform", `translate(${100 * (patch % seen.cols)}%, ${100 * Math.floor(patch / seen.cols)}%)`);
    }
    this.read(state.shown ?? (this.name === "map" ? state.kept : null));
  }

  read(patch) {
    const { scene } = this;
    const ready = !scene.waiting && !scene.mask && !scene.colours;
    put(this.needle, "hidden", !ready || patch === null);
    if (!this.needle.hidden) {
      const span = scene.high - scene.low;
      const at = span > 0 ? Math.min(1, Math.max(0, (scene.values[patch] - scene.low) / span)) : 0;
      put(this.needle.style, "transform", `translateX(${(100 * at).toFixed(2)}%)`);
    }
    say(this.readout, this.words(patch));
  }

  /** What the readout says: a patch's value or, without one, the strongest patch's. */
  words(patch) {
    const { scene } = this;
    const { seen } = this.view;
    if (scene.waiting) return "";
    const name = (one) => placeName(seen, one).replace(/^row/, "Row");
    if (scene.mask) {
      const count = seen.selected?.length ?? 0;
      return patch === null
        ? `${count} of ${seen.patches} patches are selected`
        : `${name(patch)}: ${scene.mask[patch] ? "selected" : "not selected"}`;
    }
    if (scene.colours) return patch === null ? "" : `${name(patch)}: ${colourWords(scene.colours, patch)}`;
    const { write } = this.writer;
    if (patch !== null) return `${name(patch)}: ${write(scene.values[patch], 3, 2)}`;
    const rest = scene.prefix?.map((share, i) => `${seen.prefix[i]} ${writer("share", share).write(share, 2)}`).join(" · ");
    const strongest = `Strongest: ${placeName(seen, scene.own.at)} with ${write(scene.own.high)}`;
    return rest ? `${strongest} · ${rest}` : strongest;
  }

  /** The same for those who cannot see the image. */
  describe() {
    const { scene } = this;
    if (scene.waiting) return `${scene.title}: ${scene.waiting}`;
    const scale = scene.mask || scene.colours ? "" : ` ${scene.quantity}, ${ends(this.writer.write, scene.low, scene.high).join(" to ")}.`;
    const note = this.note.textContent;
    return `${scene.title}, over ${this.view.seen.title}.${scale} ${this.words(null)}.${note ? ` ${note}` : ""}`;
  }
}

/** A patch's colour in words: "red 82 %, green 10 %, blue 35 %". */
function colourWords(colours, patch) {
  const parts = ["red", "green", "blue"].map((name, i) => `${name} ${Math.round(100 * colours[3 * patch + i])}\u202f%`);
  return parts.join(", ");
}
