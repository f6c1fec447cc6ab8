// The payload that Python packs (payload.py), checked field by field: {…, maps with Float32Arrays, tables of colours}.

import { range } from "./numbers.js";

const FORMAT = 1;
const UNITS = ["share", "number", "size", "mask"];
const FORMS = ["values", "features", "colours"];
const BRANCHES = ["", "sa", "glca"];
const IMAGE = /^data:image\/(png|jpeg|webp);base64,[A-Za-z0-9+/]+=*$/;

function expect(condition, message) {
  if (!condition) throw new TypeError(`This is no record for the view: ${message}.`);
}

function text(value, name) {
  expect(typeof value === "string", `${name} is not text`);
  return value;
}

function count(value, name, least = 1) {
  expect(Number.isInteger(value) && value >= least && value < 2 ** 31, `${name} is ${value}`);
  return value;
}

function finite(value, name) {
  expect(Number.isFinite(value), `${name} is ${value}`);
  return value;
}

function bytes(base64, name) {
  let binary;
  try {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text(base64, name)); // in browsers from 2025 on, without a loop here
    binary = atob(text(base64, name));
  } catch {
    expect(false, `${name} is not base64`);
  }
  const found = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i += 1) found[i] = binary.charCodeAt(i);
  return found;
}

/** A Float32Array on its way to Python, as `view/arrays.py` packs it. */
export function pack(values, shape) {
  const raw = new Uint8Array(new Float32Array(values).buffer);
  let binary = "";
  for (const byte of raw) binary += String.fromCharCode(byte);
  return { dtype: "float32", shape, data: btoa(binary) };
}

/** What a map's source answered: its numbers, in the shape that the map has in its form. */
export function fetched(answer, map, seen) {
  const { rows, cols, layers, patches } = seen;
  const width = answer.values?.shape?.[1];
  const shapes = { features: [patches, width], colours: [rows, cols, 3], values: map.layered ? [layers, rows, cols] : [rows, cols] };
  return floats(answer.values, shapes[map.form], map.key);
}

/** The numbers of a packed array, {dtype: "float32", shape, data}, whose shape must be `shape`. All are finite. */
export function floats(packed, shape, name) {
  expect(packed && packed.dtype === "float32" && Array.isArray(packed.shape), `${name} is not an array of float32`);
  expect(
    packed.shape.length === shape.length && shape.every((length, axis) => packed.shape[axis] === length),
    `${name} has shape ${packed.shape}, expected ${shape}`,
  );
  const raw = bytes(packed.data, name);
  expect(raw.length === 4 * shape.reduce((a, b) => a * b, 1), `${name} holds ${raw.length} bytes for shape ${shape}`);
  const values = new Float32Array(raw.buffer); // little-endian, as every browser's machine is
  let allFinite = true;
  for (let i = 0; i < values.length; i += 1) allFinite &&= Number.isFinite(values[i]);
  expect(allFinite, `${name} holds values that are not finite`);
  return values;
}

/** The record that a payload describes. Raises TypeError, with the field's name, for anything that is not one. */
export function record(payload) {
  expect(payload && typeof payload === "object", "it is no object");
  expect(payload.format === FORMAT, `its format is ${payload.format}, this view reads ${FORMAT}`);
  const { image, extent, box } = payload;
  expect(image && IMAGE.test(image.src), "the image is not a PNG, JPEG or WebP data address");
  expect(Array.isArray(extent) && extent.length === 2, "extent is not [width, height]");
  expect(Array.isArray(box) && box.length === 4, "box is not [left, top, right, bottom]");
  const seen = {
    id: text(payload.id, "id"),
    group: text(payload.group, "group"),
    title: text(payload.title, "title"),
    caption: text(payload.caption ?? "", "caption"),
    image: { src: image.src, width: count(image.width, "width"), height: count(image.height, "height") },
    extent: extent.map((side) => count(side, "extent")),
    box: box.map((side) => finite(side, "box")),
    rows: count(payload.rows, "rows"),
    cols: count(payload.cols, "cols"),
    layers: count(payload.layers, "layers"),
    heads: count(payload.heads, "heads"),
    prefix: prefixes(payload.prefix),
    attention: attention(payload.attention),
    colours: {},
  };
  seen.patches = seen.rows * seen.cols;
  seen.tokens = seen.prefix.length + seen.patches;
  expect(Array.isArray(payload.maps) && payload.maps.length > 0, "it has no maps");
  seen.maps = payload.maps.map((map) => oneMap(map, seen));
  expect(new Set(seen.maps.map((map) => map.key)).size === seen.maps.length, "two maps have one key");
  const sa = seen.maps.find(({ key }) => key === "sa");
  seen.strongest = sa ? range(sa.stacks.mean).at : 0;
  seen.selected = payload.selected === null ? null : selection(payload.selected, seen.patches);
  for (const [name, table] of Object.entries(payload.colours)) {
    seen.colours[name] = bytes(table, `colour map ${name}`);
    expect(seen.colours[name].length === 768, `colour map ${name} has ${seen.colours[name].length} bytes, not 768`);
  }
  seen.measures = payload.measures === true;
  seen.diverging = text(payload.diverging, "diverging");
  expect(seen.diverging in seen.colours && Object.keys(seen.colours).length > 1, "colour maps are missing");
  return seen;
}

function prefixes(names) {
  expect(Array.isArray(names), "prefix is no list"); // it is empty where a model has patches alone
  return names.map((name) => text(name, "prefix"));
}

function attention(described) {
  expect(described && ["layers", "rows"].includes(described.mode), "attention.mode is neither layers nor rows");
  return {
    mode: described.mode,
    dimension: count(described.dimension, "attention.dimension"),
    inline: Object.fromEntries(Object.entries(described.inline ?? {})),
  };
}

function oneMap(map, seen) {
  const key = text(map.key, "key");
  expect(UNITS.includes(map.unit), `map ${key} has the unit ${map.unit}`);
  expect(BRANCHES.includes(map.branch), `map ${key} is of the branch ${map.branch}`);
  const shape = map.layered ? [seen.layers, seen.rows, seen.cols] : [seen.rows, seen.cols];
  const stacks = {};
  for (const [fusion, packed] of Object.entries(map.values)) stacks[fusion] = floats(packed, shape, `${key} ${fusion}`);
  const source = map.source ?? null;
  expect(source === null || typeof source.kind === "string", `map ${key} has a source without a kind`);
  expect("mean" in stacks || source, `map ${key} has no values`);
  const form = map.form ?? "values";
  expect(FORMS.includes(form), `map ${key} has the form ${form}`);
  const scale = map.scale === null ? null : map.scale.map((end) => finite(end, `${key}'s scale`));
  expect(scale === null || (scale.length === 2 && scale[0] <= scale[1]), `map ${key} has the scale ${scale}`);
  return {
    key,
    unit: map.unit,
    branch: map.branch,
    layered: map.layered === true,
    fused: map.fused === true,
    diverging: map.diverging === true,
    tab: text(map.tab, "tab"),
    kind: text(map.kind, "kind"),
    title: text(map.title, "title"),
    about: text(map.about, "about"),
    quantity: text(map.quantity, "quantity"),
    scale,
    stacks,
    form,
    source,
    words: {}, // of what was fetched
    starts: map.starts === true,
    byLayer: map.by_layer === true,
    score: text(map.score ?? "", "score"),
  };
}

function selection(indices, patches) {
  expect(Array.isArray(indices), "selected is no list");
  return indices.map((index) => {
    expect(Number.isInteger(index) && index >= 0 && index < patches, `selected holds patch ${index}`);
    return index;
  });
}
