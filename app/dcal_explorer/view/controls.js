// The view's controls. Each shows the state and asks for another; none keeps a value of its own.

import { attribute, element, put, say } from "./elements.js";
import { tokenName } from "./scenes.js";
import { DISCARDS } from "./state.js";

const FUSION_NAMES = { mean: "Mean", max: "Maximum", min: "Minimum" };
const PATCH = "patch"; // the value of the token list's entry for a patch
let made = 0; // for ids that are unique on the page

function labelled(label, control, className = "") {
  made += 1;
  control.id = `dcal-control-${made}`;
  return element("div", { className: `dcal-control ${className}` }, element("label", { htmlFor: control.id }, label), control);
}

function options(entries) {
  return Object.entries(entries).map(([value, label]) => element("option", { value }, label));
}

function list(entries, pick) {
  return element("select", { onchange: ({ target }) => pick(target.value) }, ...options(entries));
}

function tick(pick) {
  return element("input", { type: "checkbox", onchange: ({ target }) => pick(target.checked) });
}

function slider(max, step, pick) {
  return element("input", { type: "range", min: 0, max, step, oninput: ({ target }) => pick(Number(target.value)) });
}

/** Opacity, colour map, head fusion, scale, smoothing, clipping, outlines; a control that does not apply is hidden. */
export class Look {
  constructor(seen, set) {
    this.opacity = slider(1, 0.01, (opacity) => set({ opacity }));
    this.opacitySaid = element("output", {});
    const colours = Object.keys(seen.colours).filter((name) => name !== seen.diverging);
    this.colours = list(Object.fromEntries(colours.map((name) => [name, name])), (value) => set({ colours: value }));
    this.fusion = list(FUSION_NAMES, (fusion) => set({ fusion }));
    this.scale = list({ all: "All layers", own: "This layer" }, (scale) => set({ scale }));
    const layers = Object.fromEntries(Array.from({ length: seen.layers }, (_, i) => [i, i ? `Layer ${i + 1}` : "First layer"]));
    this.start = list(layers, (start) => set({ start: Number(start) }));
    const shares = Object.fromEntries(DISCARDS.map((share) => [share, share ? `Weakest ${Math.round(100 * share)}\u202f%` : "Nothing"]));
    this.discard = list(shares, (discard) => set({ discard: Number(discard) }));
    this.minus = list({ "": "no checkpoint" }, (minus) => set({ minus }));
    this.compared = "";
    this.smooth = tick((smooth) => set({ smooth }));
    this.clip = tick((clip) => set({ clip }));
    this.outlined = tick((outlined) => set({ outlined }));
    const opacity = labelled("Opacity", this.opacity, "dcal-wide");
    opacity.append(this.opacitySaid);
    this.places = {
      colours: labelled("Colour map", this.colours),
      fusion: labelled("Head fusion", this.fusion),
      scale: labelled("Scale", this.scale),
      minus: labelled("Difference to", this.minus),
      start: labelled("Start at", this.start),
      discard: labelled("Discard", this.discard),
      smooth: labelled("Smooth", this.smooth, "dcal-tick"),
      clip: labelled("Clip outliers", this.clip, "dcal-tick"),
      outlined: labelled("Outline selection", this.outlined, "dcal-tick"),
    };
    const { start, discard, ...others } = this.places; // those two stand beside the layer's slider
    this.element = element("div", { className: "dcal-look" }, opacity, ...Object.values(others));
  }

  show(state, map, applies) {
    put(this.opacity, "value", String(state.opacity));
    say(this.opacitySaid, `${Math.round(100 * state.opacity)}\u202f%`);
    for (const name of ["colours", "fusion", "scale"]) put(this[name], "value", state[name]);
    for (const name of ["smooth", "clip", "outlined"]) put(this[name], "checked", state[name]);
    put(this.start, "value", String(state.start));
    put(this.discard, "value", String(state.discard));
    this.showCompared(applies.compared, state.minus);
    put(this.places.scale, "hidden", !map.layered);
    put(this.places.start, "hidden", !(map.starts && map.source));
    put(this.places.discard, "hidden", !(map.fused && map.source));
    put(this.places.clip, "hidden", !(applies.outliers || state.clip));
    put(this.places.outlined, "hidden", !applies.selection);
  }

  /** Which of the linked views the others are compared with; only where there are some. */
  showCompared(titles, minus) {
    put(this.places.minus, "hidden", titles.length < 2);
    if (this.compared !== titles.join("\n")) {
      this.compared = titles.join("\n");
      this.minus.replaceChildren(...options({ "": "no checkpoint", ...Object.fromEntries(titles.map((title) => [title, title])) }));
    }
    put(this.minus, "value", titles.includes(minus) ? minus : "");
  }
}

/** The layer's slider, with a button that plays through the layers. */
export class LayerControl {
  constructor(seen, set, play, enter) {
    this.slider = slider(seen.layers - 1, 1, (layer) => set({ layer }));
    this.play = element("button", { type: "button", className: "dcal-play", onclick: play });
    this.said = element("output", {});
    this.layers = seen.layers;
    const place = labelled("Layer", this.slider, "dcal-layer");
    place.append(this.said);
    this.element = element("div", { className: "dcal-scrub", onpointerenter: enter, onfocusin: enter }, this.play, place);
  }

  show(state, playing) {
    put(this.slider, "value", String(state.layer));
    attribute(this.slider, "aria-valuetext", `layer ${state.layer + 1} of ${this.layers}`);
    say(this.said, `${state.layer + 1} of ${this.layers}`);
    say(this.play, playing ? "❚❚ Pause" : "▶ Play");
  }
}

/** Which token's attention is shown: the class token and other prefix tokens by name, a patch once there is one. */
export class TokenChoice {
  constructor(seen, set) {
    this.seen = seen;
    const entries = Object.fromEntries(seen.prefix.map((name, i) => [i, name]));
    this.list = list(entries, (value) => value !== PATCH && set({ prefix: Number(value), kept: null }));
    this.patch = element("option", { value: PATCH });
    this.release = element("button", { type: "button", className: "dcal-release", onclick: () => set({ kept: null }) }, "×");
    this.release.title = "Release the kept patch";
    this.release.setAttribute("aria-label", "Release the kept patch");
    this.element = labelled("Attending token", this.list, "dcal-token");
    this.element.append(this.release);
  }

  show(state, token) {
    const isPatch = token >= this.seen.prefix.length;
    if (isPatch) {
      say(this.patch, tokenName(this.seen, token) + (state.pointed !== null ? " (cursor)" : ""));
      if (!this.patch.parentElement) this.list.append(this.patch);
    } else this.patch.remove();
    put(this.list, "value", isPatch ? PATCH : String(token));
    put(this.release.style, "visibility", state.kept === null ? "hidden" : "visible");
  }
}
