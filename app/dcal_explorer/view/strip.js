// A row of thumbnails to choose from: every layer's map, or every head's.

import { Choice, attribute, element } from "./elements.js";
import { paintSmall } from "./paint.js";

export const SIDE = 88; // pixels of a thumbnail's longer side

export class Strip {
  /** `items`: [{value, label, short}], in order; `pick(value)` is called for a choice. */
  constructor(view, label, items, pick) {
    this.view = view;
    const [width, height] = view.seen.extent;
    const scale = SIDE / Math.max(width, height);
    this.size = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
    this.canvases = new Map();
    const described = items.map(({ value, label: name, short }) => {
      const canvas = element("canvas", { width: this.size[0], height: this.size[1], "aria-hidden": "true" });
      this.canvases.set(value, canvas);
      return { value, label: name, children: [canvas, element("span", {}, short)] };
    });
    this.choice = new Choice("radiogroup", label, described, pick);
    this.choice.element.classList.add("dcal-strip");
    this.element = this.choice.element;
    this.drawn = "";
  }

  /** Show one thumbnail per {value: {values, low, high, table}}; nothing is painted anew for the same `signature`. */
  show(maps, signature) {
    if (signature === this.drawn) return;
    const ground = this.view.ground(...this.size);
    if (!ground) return;
    this.drawn = signature;
    for (const [value, map] of maps) {
      const context = this.canvases.get(value).getContext("2d");
      if (map) paintSmall(context, ground, map, this.view.state.opacity);
      else context.drawImage(ground.bright, 0, 0);
    }
    attribute(this.element, "aria-busy", maps.some(([, map]) => !map));
  }

  choose(value) {
    if (this.choice.choose(value)) requestAnimationFrame(() => this.reveal()); // where the frame lays out in any case
  }

  /** Bring the chosen thumbnail into sight within the strip; the page never moves. */
  reveal() {
    const button = this.canvases.get(this.choice.value)?.parentElement;
    if (!button) return;
    const { scrollLeft, clientWidth } = this.element;
    const { offsetLeft, offsetWidth } = button;
    if (offsetLeft < scrollLeft) this.element.scrollLeft = offsetLeft - 4;
    else if (offsetLeft + offsetWidth > scrollLeft + clientWidth) this.element.scrollLeft = offsetLeft + offsetWidth - clientWidth + 4;
  }
}
