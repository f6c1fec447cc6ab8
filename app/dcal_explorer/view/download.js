// The panes on screen as a PNG file: Python draws it, large and lossless, with a caption.

import { pack } from "./payload.js";

/** What Python's drawing.py needs to draw the view as it is. */
export function drawingRequest(view) {
  const { seen, state, panes } = view;
  const shown = view.faithfulness.element.hidden ? [panes.map, panes.attention] : [panes.map];
  const described = shown.map((pane) => describedPane(pane, seen, state));
  const layer = `Layer ${state.layer + 1} of ${seen.layers}`;
  const words = [[seen.caption, seen.title, layer].filter(Boolean).join(" · ")];
  return { kind: "drawing", opacity: state.opacity, smooth: state.smooth, panes: described, words };
}

function describedPane({ scene, name, view }, seen, state) {
  const grid = [seen.rows, seen.cols];
  const signed = scene.map?.diverging || scene.signed ? seen.diverging : state.colours;
  return {
    values: scene.colours ? pack(scene.colours, [...grid, 3]) : pack(scene.values, grid),
    low: scene.low ?? 0,
    high: scene.high ?? 1,
    unit: scene.mask ? "mask" : scene.unit === "share" ? "share" : "number",
    colours: signed,
    marked: state.kept,
    words: [scene.title, scene.about, ...(scene.mask || scene.colours ? [] : [`Scale: ${scene.quantity}`]), view.panes[name].words(null)],
  };
}

/** Save the view's panes as a PNG file; a promise, done when the browser has it. */
export async function download(view) {
  const { png } = await view.attention.ask(drawingRequest(view));
  const { state, seen } = view;
  const link = document.createElement("a");
  link.href = `data:image/png;base64,${png}`;
  link.download = ["dcal", seen.title, state.map, `layer-${state.layer + 1}`].join("-").replace(/[^\w.-]+/g, "-") + ".png";
  link.click();
}
