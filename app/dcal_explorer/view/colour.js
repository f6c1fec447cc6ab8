// Values to colours: the tables come from dcal.draw, and the index is computed as dcal.draw.colour does, in float32.

/** Which of the table's 256 colours stands for `value` on the scale [low, high]; the first if the scale is one value. */
export function colourIndex(value, low, high) {
  if (!(high > low)) return 0;
  const index = Math.fround(Math.fround(value - Math.fround(low)) * Math.fround(255 / (high - low)));
  return Math.min(255, Math.max(0, roundEven(index)));
}

function roundEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** The table as 256 CSS colours. */
export const cssColours = once((table) =>
  Array.from({ length: 256 }, (_, i) => `rgb(${table[3 * i]},${table[3 * i + 1]},${table[3 * i + 2]})`),
);

/** The table as 256 opaque pixels of an ImageData's buffer (little-endian, as every browser's machine is). */
export const pixelColours = once((table) =>
  Uint32Array.from({ length: 256 }, (_, i) => {
    return ((255 << 24) | (table[3 * i + 2] << 16) | (table[3 * i + 1] << 8) | table[3 * i]) >>> 0;
  }),
);

/** `made(table)`, computed once for each table: every map that is painted asks for it. */
function once(made) {
  const known = new WeakMap();
  return (table) => {
    if (!known.has(table)) known.set(table, made(table));
    return known.get(table);
  };
}
