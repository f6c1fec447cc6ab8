// From a record and what the controls say to what a pane shows: values, their scale, and the words for both.

import { fuse } from "./attention.js";
import { constant, farOut, outliers, range } from "./numbers.js";
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

/** The name of the values that `map` has for the state: what differs by fusion, start layer, token or layer. */
export function stackName(map, state) {
  if (map.byLayer) return `layer ${state.layer}`;
  if (map.fused) {
    const { fusion, start, prefix, discard } = state;
    return start || prefix || discard ? `${fusion} from ${start} of ${prefix} without ${discard}` : fusion;
  }
  return map.starts && state.start ? `from ${state.start}` : "mean";
}

/** What is asked for where the values are not here. */
function requestOf(map, state) {
  const request = { ...map.source };
  if (map.byLayer) request.layer = state.layer;
  if (map.starts) request.start = state.start;
  if (map.fused) Object.assign(request, { fusion: state.fusion, token: state.prefix, discard: state.discard });
  return request;
}

/** The map's words under the state: {title, about, quantity}. */
function mapWords(map, seen, state, name) {
  const from = map.starts && state.start ? ` from layer ${state.start + 1} on` : "";
  const layered = map.layered || map.byLayer;
  const title = layered ? `${map.title} after layer ${state.layer + 1} of ${seen.layers}` : map.title;
  const discarded = map.fused && state.discard ? `, the weakest ${Math.round(100 * state.discard)}\u202f% of each row discarded` : "";
  const how = map.fused ? ` (${FUSED[state.fusion]}${discarded}${from && `,${from}`})` : from && ` Counted${from}.`;
  const quantity = map.fused && state.prefix ? map.quantity.replace("class token", seen.prefix[state.prefix]) : map.quantity;
  return { title, about: `${map.about}${how}${map.words[name] ? ` ${map.words[name]}` : ""}`, quantity, score: scoreOf(map, seen, state) };
}

/** What the map is worth on test images; measured as the record has it, and after the last layer. */
function scoreOf(map, seen, state) {
  if (!map.score) return "";
  const measured = stackName(map, state) === "mean" && (!map.layered || state.layer === seen.layers - 1);
  return measured ? map.score : "Measured on test images for all layers, averaged heads and the last layer only.";
}

/** What the map pane shows; {missing: request, name} where its values have to be fetched first. */
export function mapScene(seen, state) {
  const map = seen.maps.find(({ key }) => key === state.map);
  const name = stackName(map, state);
  const stack = map.stacks[name];
  const words = mapWords(map, seen, state, name);
  if (!stack) return { ...words, map, missing: requestOf(map, state), name };
  if (map.form === "colours") return { ...words, map, colours: stack };
  if (map.form === "features") return { ...words, ...similarityScene(seen, state, map, stack) };
  const values = map.layered ? layerOf(stack, state.layer, seen.patches) : stack;
  if (map.unit === "mask") return { ...words, map, mask: values, values };
  const shared = map.layered ? layersScale(map, stack, seen, state) : map.scale;
  return { ...words, map, ...scaled(seen, { ...state, clip: state.clip && !(map.layered && shared) }, map, values, shared) };
}

/** The patch that others are compared with: the kept one, else the one pointed at, else the strongest of the record. */
export function comparedPatch(seen, state) {
  return state.kept ?? state.pointed ?? seen.strongest;
}

function similarityScene(seen, state, map, features) {
  const base = comparedPatch(seen, state);
  return { title: `Similarity to ${placeName(seen, base)}, layer ${state.layer + 1}`, map, ...scaled(seen, state, map, cosines(features, base, seen.patches), null) };
}

/** The cosine of one patch's feature with every patch's; features are p × width numbers, each patch's of length 1. */
export function cosines(features, patch, patches) {
  const width = features.length / patches;
  const own = features.subarray(patch * width, (patch + 1) * width);
  return Float32Array.from({ length: patches }, (_, other) => {
    let sum = 0;
    for (let i = 0, at = other * width; i < width; i += 1, at += 1) sum += own[i] * features[at];
    return sum;
  });
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
  return state.scale === "all" ? (map.scale ?? stackRange(map, stack, seen, state.clip)) : null;
}

/** Lowest and highest value of all layers together; `clip` leaves every layer's outliers out. */
function stackRange(map, stack, seen, clip) {
  const ranges = Array.from({ length: seen.layers }, (_, layer) => {
    const values = layerOf(stack, layer, seen.patches);
    const one = range(values);
    return [one.low, clip ? (outlying(map, values)?.high ?? one.high) : one.high];
  });
  return [Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high))];
}

/** The patches of a map that tower above the rest; for lengths of tokens, those far above the usual spread. */
function outlying(map, values) {
  if (map.diverging || map.form === "features") return null;
  return map.unit === "size" ? farOut(values) : outliers(values);
}

function scaled(seen, state, map, values, fixed) {
  const own = range(values);
  const apart = outlying(map, values);
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
