// Linked views of one image: each one's map minus the same map of the one that is chosen as the reference.

import { constant, range } from "./numbers.js";
import { mapScene } from "./scenes.js";

const LINKED = Symbol.for("dcal-explorer.linked"); // one register for the whole page, however often this module was loaded

function register() {
  globalThis[LINKED] ??= new Set();
  return globalThis[LINKED];
}

/** Take part in the differences of one's link; the function that comes back ends it. */
export function join(view) {
  register().add(view);
  return () => register().delete(view);
}

/** The linked views that show a map, by the order in which they came. */
export function linked(view) {
  return [...register()].filter(({ options, seen, root }) => {
    return seen && root.isConnected && options.parts === "maps" && options.link && options.link === view.options.link;
  });
}

/** `scene`, the view's map, as its difference from the reference's; as it is where no reference is chosen. */
export function subtracted(view, scene) {
  const { state } = view;
  if (!state.minus || view.options.parts !== "maps" || !scene.values || scene.mask) return scene;
  const views = linked(view);
  const reference = views.find(({ seen }) => seen.title === state.minus);
  if (!reference || reference === view) return { ...scene, title: `${scene.title} (reference)` };
  const values = minus(scene, reference, view.seen, state);
  if (!values) return { ...scene, values: null, waiting: `${state.minus} has no such map to compare with.` };
  const having = views.filter(({ seen }) => seen.maps.some(({ key }) => key === state.map));
  const others = having.map(({ seen }) => minus(mapScene(seen, state), reference, seen, state));
  const most = Math.max(...others.filter(Boolean).map(largest), largest(values));
  const own = range(values);
  return {
    ...scene,
    values,
    own,
    title: `${scene.title}, minus ${state.minus}'s`,
    low: -most,
    high: most,
    ...{ over: false, under: false, outliers: null, flat: constant(own), score: "" },
    table: view.seen.colours[view.seen.diverging],
    signed: true,
  };
}

function minus(scene, reference, seen, state) {
  const { rows, cols } = reference.seen;
  if (!scene.values || scene.mask || !reference.seen.maps.some(({ key }) => key === scene.map.key)) return null;
  if (rows !== seen.rows || cols !== seen.cols || `${reference.seen.box}` !== `${seen.box}`) return null;
  const other = mapScene(reference.seen, { ...state, map: scene.map.key });
  return other.values ? Float32Array.from(scene.values, (value, patch) => value - other.values[patch]) : null;
}

function largest(values) {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
