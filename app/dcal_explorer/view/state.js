// What the controls say, as one object, and how it is fitted to a record.

export const START = {
  map: "",
  layer: null, // counted from 0; null: the last
  head: -1, // counted from 0; −1: all, fused
  fusion: "mean",
  prefix: 0, // which prefix token attends while no patch does
  kept: null, // patch, counted from 0 row by row
  opacity: 0.6,
  colours: "",
  smooth: false,
  scale: "all", // or "own"
  clip: false,
  outlined: true,
  start: 0, // the first layer that counts, from 0
  minus: "", // in linked views: the title of the one that the others' maps are compared with
  discard: 0, // share of each row's weakest attention that the rollout leaves out
};
export const DISCARDS = [0, 0.5, 0.75, 0.9, 0.95];
export const SHARED = Object.keys(START);
const FUSIONS = ["mean", "max", "min"];

function index(value, count, instead) {
  return Number.isInteger(value) && value >= 0 && value < count ? value : instead;
}

function among(value, known, instead) {
  return known.includes(value) ? value : instead;
}

/** `state` with every value one that `seen` has; what it lacks becomes the start's. `pointed` and `shown` are null. */
export function fitted(seen, state) {
  const opacity = Number(state.opacity);
  return {
    map: among(state.map, seen.maps.map(({ key }) => key), seen.maps[0].key),
    layer: index(state.layer, seen.layers, seen.layers - 1),
    head: index(state.head, seen.heads, -1),
    fusion: among(state.fusion, FUSIONS, START.fusion),
    prefix: index(state.prefix, seen.prefix.length, 0),
    kept: index(state.kept, seen.patches, null),
    opacity: opacity >= 0 && opacity <= 1 ? opacity : START.opacity,
    colours: among(state.colours, Object.keys(seen.colours).filter((name) => name !== seen.diverging), Object.keys(seen.colours)[0]),
    smooth: state.smooth === true,
    scale: among(state.scale, ["all", "own"], START.scale),
    clip: state.clip === true,
    outlined: state.outlined !== false,
    minus: typeof state.minus === "string" ? state.minus : "",
    start: index(state.start, seen.layers, 0),
    discard: among(state.discard, DISCARDS, START.discard),
    pointed: null, // the patch under the cursor in a map pane: it attends
    shown: null, // the patch under the cursor in any pane: it is outlined and its value is written
  };
}

/** What a new record with another grid or depth makes of the old state, in words; empty if nothing is lost. */
export function lost(before, state, seen) {
  const words = [];
  if (state.kept !== null && (before.rows !== seen.rows || before.cols !== seen.cols)) {
    words.push(`The kept patch was released: this model has ${seen.rows}×${seen.cols} patches, not ${before.rows}×${before.cols}.`);
  }
  if (state.layer >= seen.layers) words.push(`There is no layer ${state.layer + 1}: the last, ${seen.layers}, is shown.`);
  if (state.head >= seen.heads) words.push(`There is no head ${state.head + 1}: all heads are shown.`);
  return words.join(" ");
}
