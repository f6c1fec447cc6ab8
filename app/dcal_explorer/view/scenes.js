// From a record and what the controls say to what a pane shows: values, their scale, and the words for both.

import { fuse } from "./attention.js";
import { constant, outliers, range } from "./numbers.js";
import { placeName } from "./placement.js";

const FUSED = { mean: "heads averaged", max: "maximum over the heads", min: "minimum over the heads" };
const SHARES = {
  mean: "share of its attention",
  max: "largest share among the heads",
  min: "smallest share among the heads",
};

/** The token whose attention is shown: the patch pointed at, else the one kept, else a prefix token. */
export function attending(seen, state) {
  const patch = state.pointed ?? state.kept;
  return patch === null ? state.prefix : seen.prefix.length + patch;
}

/** "class token", or "row 5, column 7". */
export function tokenName(seen, token) {
  return token < seen.prefix.length ? seen.prefix[token] : placeName(seen, token - seen.prefix.length);
}

/** What the map pane shows; {missing: request} where its values have to be fetched first. */
export function mapScene(seen, state) {
  const map = seen.maps.find(({ key }) => key === state.map);
  const stack = map.stacks[map.fused ? state.fusion : "mean"];
  const title = map.layered ? `${map.title} after layer ${state.layer + 1} of ${seen.layers}` : map.title;
  const words = { title, about: map.fused ? `${map.about} (${FUSED[state.fusion]})` : map.about, quantity: map.quantity };
  if (!stack) return { ...words, missing: { kind: "rollout", map: map.key, fusion: state.fusion } };
  const values = map.layered ? layerOf(stack, state.layer, seen.patches) : stack;
  if (map.unit === "mask") return { ...words, map, mask: values, values };
  const shared = map.layered ? layersScale(map, stack, seen, state) : map.scale;
  return { ...words, map, ...scaled(seen, { ...state, clip: state.clip && !(map.layered && shared) }, map, values, shared) };
}

/** What the attention pane shows of `token`'s rows (h × n numbers). */
export function attentionScene(seen, state, rows, token) {
  const all = fuse(rows, seen.heads, seen.tokens, state.head, state.fusion);
  const values = all.subarray(seen.prefix.length);
  const of = state.head < 0 ? `all heads (${state.fusion})` : `head ${state.head + 1}`;
  return {
    ...attentionWords(seen, state, token),
    about: `Layer ${state.layer + 1}, ${of}: where the token's attention goes.`,
    quantity: state.head < 0 ? SHARES[state.fusion] : SHARES.mean,
    prefix: Array.from(all.subarray(0, seen.prefix.length)),
    ...scaled(seen, state, { unit: "share" }, values, null),
  };
}

/** What the attention pane is called: `title` in full, `heading` where the token is named beside it. */
export function attentionWords(seen, state, token) {
  const title = `Attention of the ${tokenName(seen, token).replace(/^row/, "patch in row")}`;
  return { title, heading: "Attention of", about: `Layer ${state.layer + 1}`, quantity: "" };
}

/** The heads' maps of `token`, on one scale: {values: one Float32Array a head, low, high, table}. */
export function headScene(seen, state, rows) {
  const values = Array.from({ length: seen.heads }, (_, head) => {
    return rows.subarray(head * seen.tokens + seen.prefix.length, (head + 1) * seen.tokens);
  });
  const ranges = values.map(range);
  const low = Math.min(...ranges.map((one) => one.low));
  return { values, low, high: Math.max(...ranges.map((one) => one.high)), table: seen.colours[state.colours] };
}

export function layerOf(stack, layer, patches) {
  return stack.subarray(layer * patches, (layer + 1) * patches);
}

/** [low, high] of the scale that all layers share, as given or as they are; null where each has its own. */
export function layersScale(map, stack, seen, state) {
  return state.scale === "all" ? (map.scale ?? stackRange(stack, seen, state.clip)) : null;
}

/** Lowest and highest value of all layers together; `clip` leaves every layer's outliers out. */
function stackRange(stack, seen, clip) {
  const ranges = Array.from({ length: seen.layers }, (_, layer) => {
    const values = layerOf(stack, layer, seen.patches);
    const one = range(values);
    return [one.low, clip ? (outliers(values)?.high ?? one.high) : one.high];
  });
  return [Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high))];
}

function scaled(seen, state, map, values, fixed) {
  const own = range(values);
  const apart = map.diverging ? null : outliers(values);
  let [low, high] = fixed ?? [own.low, own.high];
  if (map.diverging && !fixed) [low, high] = [-Math.max(-own.low, own.high), Math.max(-own.low, own.high)];
  if (state.clip && apart) high = Math.max(low, Math.min(high, apart.high));
  return {
    values,
    own,
    low,
    high,
    flat: constant(own),
    outliers: apart,
    unit: map.unit,
    over: own.high > high,
    under: own.low < low,
    table: seen.colours[map.diverging ? seen.diverging : state.colours],
  };
}
