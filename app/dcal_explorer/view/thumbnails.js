// What the two strips of thumbnails show: the chosen map by every layer, and the attention in every head.

import { put } from "./elements.js";
import { attending, attentionScene, headScene, layerOf, layersScale, stackName } from "./scenes.js";

/** Paint the view's layers, as its state now is. */
export function paintLayers({ seen, state, mapShown, layerStrip }) {
  const layered = mapShown.layered ? mapShown : seen.maps.find((map) => map.layered);
  put(layerStrip.element.parentElement, "hidden", !layered);
  if (!layered) return;
  const name = stackName(layered, layered === mapShown ? state : { ...state, start: 0, prefix: 0, discard: 0 });
  const stack = layered.stacks[name];
  const every = stack ? layersScale(layered, stack, seen, state) : null;
  const scaled = (layer) => {
    const values = layerOf(stack, layer, seen.patches);
    const [low, high] = every ?? [Math.min(...values), Math.max(...values)];
    return { values, low, high, table: seen.colours[state.colours] };
  };
  const signature = JSON.stringify([Boolean(stack), layered.key, name, state.scale, state.clip, state.opacity, state.colours]);
  if (signature === layerStrip.drawn) return;
  layerStrip.show(Array.from({ length: seen.layers }, (_, i) => [i, stack ? scaled(i) : null]), signature);
}

/** Paint the view's heads, as its state now is. */
export function paintHeads({ seen, state, attention, headStrip }) {
  const token = attending(seen, state);
  const rows = attention.rows(state.layer, token);
  const heads = rows ? headScene(seen, state, rows) : null;
  const fused = rows ? attentionScene(seen, { ...state, head: -1, clip: false }, rows, token) : null;
  const thumbs = Array.from({ length: seen.heads }, (_, head) => [head, heads && { ...heads, values: heads.values[head] }]);
  const signature = JSON.stringify([token, state.layer, state.fusion, Boolean(rows), state.opacity, state.colours]);
  headStrip.show([[-1, fused], ...thumbs], signature);
}
