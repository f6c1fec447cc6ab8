// The view's parts and where they stand.

import { LayerControl, Look, TokenChoice } from "./controls.js";
import { Choice, element } from "./elements.js";
import { FaithfulnessPane } from "./faithfulness.js";
import { Pane } from "./pane.js";
import { Strip } from "./strip.js";

/** All parts for the view's record, by name; `elements` are to be shown from top to bottom. */
export function layOut(view) {
  const { seen } = view;
  const set = (change) => view.set(change);
  const tokens = new TokenChoice(seen, set);
  const panes = { map: new Pane(view, "map"), attention: new Pane(view, "attention", tokens.element) };
  const layer = new LayerControl(seen, set, () => view.play(), () => view.loader.prefetch());
  const parts = {
    ...mapChoice(view, set),
    ...strips(view, set),
    tokens,
    panes,
    layer,
    look: new Look(seen, set),
    paneSizes: paneSizes(view),
    faithfulness: new FaithfulnessPane(view),
    testButton: element("button", { type: "button", "aria-expanded": "false", hidden: !seen.measures, onclick: () => view.test() }, "Faithfulness"),
    numbersButton: element("button", { type: "button", "aria-expanded": "false", onclick: () => view.numbers() }, "Numbers"),
    tablePlace: element("div", { className: "dcal-tables", hidden: true }),
  };
  layer.element.append(parts.look.places.start, parts.look.places.discard);
  const shown = [parts.paneSizes.element, parts.testButton, parts.numbersButton, saveButton(view), view.screen];
  const buttons = element("div", { className: "dcal-buttons" }, ...shown);
  parts.elements = [
    element("div", { className: "dcal-bar" }, parts.tabs.element),
    element("div", { className: "dcal-bar" }, parts.kindPlace, buttons),
    element("div", { className: "dcal-panes" }, panes.map.element, panes.attention.element, parts.faithfulness.element),
    layer.element,
    element("div", { className: "dcal-strips" }, titled("Layers", parts.layerStrip), titled("Heads", parts.headStrip)),
    parts.look.element,
    parts.tablePlace,
  ];
  return parts;
}

/** Saves the panes as an image; only where somebody can draw it. */
function saveButton(view) {
  return element("button", { type: "button", hidden: !view.options.fetch, onclick: () => view.save() }, "Download");
}

/** On a full screen: both panes, or one of them as large as it can be. */
function paneSizes(view) {
  const names = { both: "Both", map: "Map", attention: "Attention" };
  const items = Object.entries(names).map(([value, label]) => ({ value, label }));
  const sizes = new Choice("radiogroup", "Which pane", items, (value) => {
    view.root.dataset.panes = value;
    sizes.choose(value);
  });
  sizes.element.classList.add("dcal-sizes");
  sizes.choose(view.root.dataset.panes ?? "both");
  return sizes;
}

/** Tabs, and for tabs of several maps the choice among these. */
function mapChoice(view, set) {
  const { maps } = view.seen;
  const names = [...new Set(maps.map(({ tab }) => tab))];
  const first = (tab) => maps.find((map) => map.tab === tab);
  const tabs = new Choice(
    "tablist",
    "Map",
    names.map((tab) => ({ value: tab, label: tab, properties: { "data-branch": first(tab).branch } })),
    (tab) => view.mapShown.tab !== tab && set({ map: first(tab).key }),
  );
  const kinds = new Map(names.map((tab) => {
    const items = maps.filter((map) => map.tab === tab).map(({ key, kind }) => ({ value: key, label: kind }));
    return [tab, new Choice("radiogroup", `${tab}: which map`, items, (map) => set({ map }))];
  }));
  return { tabs, kinds, kindPlace: element("div", { className: "dcal-kinds" }) };
}

function strips(view, set) {
  const { layers, heads } = view.seen;
  const numbered = (count, word) => Array.from({ length: count }, (_, i) => ({ value: i, label: `${word} ${i + 1}`, short: `${i + 1}` }));
  const all = { value: -1, label: "All heads", short: "All heads" };
  return {
    layerStrip: new Strip(view, "Layer", numbered(layers, "Layer"), (layer) => set({ layer })),
    headStrip: new Strip(view, "Head", [all, ...numbered(heads, "Head")], (head) => set({ head })),
  };
}

function titled(name, strip) {
  return element("div", { className: "dcal-strip-place", "data-strip": name.toLowerCase() }, element("h4", {}, name), strip.element);
}
