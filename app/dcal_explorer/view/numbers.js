// Numbers as people read them: shares in percent, other numbers with a power of ten in the title where they are tiny.

const SPACE = "\u202f"; // narrow and unbreakable, between a number and its sign
const MOST_DECIMALS = 6;

/** Decimals that leave `digits` significant digits to a number as large as `extent`. */
export function decimalsFor(extent, digits) {
  if (!(extent > 0)) return 0;
  return Math.min(MOST_DECIMALS, Math.max(0, digits - 1 - Math.floor(Math.log10(extent))));
}

/**
 * How the numbers of one scale are written: {write(value, digits), sign}. `unit` is "share" (fractions of 1, written in
 * percent) or "number"; `extent` is the largest magnitude on the scale. `more`: decimals that a small value may have beyond.
 */
export function writer(unit, extent) {
  const power = unit === "number" && extent > 0 && extent < 1e-3 ? 3 * Math.floor(Math.log10(extent) / 3) : 0;
  const factor = unit === "share" ? 100 : 10 ** -power;
  const sign = unit === "share" ? `${SPACE}%` : "";
  const write = (value, digits = 3, more = 0) => {
    const scaled = value * factor;
    const size = Math.abs(scaled);
    const usual = decimalsFor(Math.max(extent * factor, size), digits);
    const decimals = Math.max(usual, Math.min(usual + more, decimalsFor(size, 1)));
    const text = fixed(scaled, decimals);
    const lost = scaled !== 0 && Number(text.replace("−", "-")) === 0;
    return (lost ? `${scaled < 0 ? "> −" : "< "}${fixed(10 ** -decimals, decimals)}` : text) + sign;
  };
  return { write, sign, power: power ? `×${SPACE}10${superscript(power)}` : "" };
}

/** Both ends of a scale with as many digits as tell them apart and show a low end that is small: ["0.1 %", "1.6 %"]. */
export function ends(write, low, high) {
  for (let digits = 2; digits < 6; digits += 1) {
    const pair = [write(low, digits, 2), write(high, digits)];
    if (pair[0] !== pair[1]) return pair;
  }
  return [write(low), write(high)];
}

/** The lowest and highest of the values, and where the highest is. Values must be finite (`payload.js` checks them). */
export function range(values) {
  let low = Infinity;
  let high = -Infinity;
  let at = 0;
  for (let i = 0; i < values.length; i += 1) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) [high, at] = [values[i], i];
  }
  return { low, high, at };
}

/** Whether the values are one value but for rounding. */
export function constant({ low, high }) {
  return high - low <= 1e-6 * Math.max(Math.abs(low), Math.abs(high));
}

const GAP = 3; // an outlier exceeds whatever is not one at least by this factor
const MOST = 0.02; // no more than this share of the patches are outliers

/**
 * The few patches that tower above the rest, or null: {patches, share of all patches' sum, high: the rest's highest}.
 * They are at most 2 % of the patches, and each holds at least three times what any other patch does.
 */
export function outliers(values) {
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
  const most = Math.max(1, Math.floor(MOST * values.length));
  for (let count = Math.min(most, values.length - 2); count > 0; count -= 1) {
    const rest = values[order[count]];
    if (rest > 0 && values[order[count - 1]] >= GAP * rest) {
      const patches = order.slice(0, count);
      const held = patches.reduce((sum, patch) => sum + values[patch], 0);
      const all = values.reduce((sum, value) => sum + Math.max(value, 0), 0);
      return { patches, held, share: held / all, high: rest };
    }
  }
  return null;
}

const DEVIATIONS = 10; // robust standard deviations, as dcal.explain.tokens has it

/** Outliers by `dcal.explain.tokens.outliers`: the same values' patches, share and highest other value; or null. */
export function farOut(values) {
  const middle = median(values);
  const spread = 1.4826 * median(Float64Array.from(values, (value) => Math.abs(value - middle)));
  const limit = spread > 1e-6 * middle ? middle + DEVIATIONS * spread : 10 * middle;
  const chosen = Array.from(values.keys()).filter((patch) => limit > 0 && values[patch] > limit);
  if (!chosen.length) return null;
  const patches = chosen.sort((a, b) => values[b] - values[a] || a - b);
  const held = patches.reduce((sum, patch) => sum + values[patch], 0);
  const all = values.reduce((sum, value) => sum + value, 0);
  const high = values.reduce((most, value, patch) => (chosen.includes(patch) ? most : Math.max(most, value)), 0);
  return { patches, held, share: held / all, high };
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function fixed(value, decimals) {
  const text = value.toFixed(decimals);
  const zero = Number(text) === 0;
  return zero ? text.replace("-", "") : text.replace("-", "−");
}

function superscript(number) {
  return String(number).replace("-", "⁻").replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
}
