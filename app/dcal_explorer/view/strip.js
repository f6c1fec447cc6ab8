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

  /** Mark `value` as chosen and, if asked, bring it into sight within the strip (never moving the page). */
  choose(value) {
    this.choice.choose(value);
    const button = this.canvases.get(value)?.parentElement;
    if (!button) return;
    const { scrollLeft, clientWidth } = this.element;
    const left = button.offsetLeft - this.element.offsetLeft;
    if (left < scrollLeft) this.element.scrollLeft = left;
    else if (left + button.offsetWidth > scrollLeft + clientWidth) {
      this.element.scrollLeft = left + button.offsetWidth - clientWidth;
    }
  }
}
