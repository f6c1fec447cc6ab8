// A layer's attention from its queries and keys: softmax(q kᵀ / √d), one token's rows at a time, in every head.

import { floats } from "./payload.js";

const KEPT = 256; // rows in memory

/** Rows of `token` in all heads, h × n numbers that sum to 1 per head. Queries and keys are h × n × d numbers. */
export function attentionRows(queries, keys, token, heads, tokens, dimension) {
  const rows = new Float32Array(heads * tokens);
  const scale = 1 / Math.sqrt(dimension);
  const logits = new Float64Array(tokens);
  for (let head = 0; head < heads; head += 1) {
    const start = head * tokens * dimension;
    const query = queries.subarray(start + token * dimension, start + (token + 1) * dimension);
    let most = -Infinity;
    for (let other = 0, at = start; other < tokens; other += 1) {
      let product = 0;
      for (let i = 0; i < dimension; i += 1, at += 1) product += query[i] * keys[at];
      logits[other] = product * scale;
      if (logits[other] > most) most = logits[other];
    }
    let sum = 0;
    for (let other = 0; other < tokens; other += 1) {
      logits[other] = Math.exp(logits[other] - most);
      sum += logits[other];
    }
    for (let other = 0; other < tokens; other += 1) rows[head * tokens + other] = logits[other] / sum;
  }
  return rows;
}

/** One head's row, or all heads' fused by "mean", "max" or "min". `rows` as from `attentionRows`. */
export function fuse(rows, heads, tokens, head, fusion) {
  if (head >= 0) return rows.subarray(head * tokens, (head + 1) * tokens);
  const fused = new Float32Array(rows.subarray(0, tokens));
  for (let h = 1; h < heads; h += 1) {
    for (let i = 0; i < tokens; i += 1) {
      const value = rows[h * tokens + i];
      if (fusion === "mean") fused[i] += value;
      else if (fusion === "max" ? value > fused[i] : value < fused[i]) fused[i] = value;
    }
  }
  if (fusion === "mean") for (let i = 0; i < tokens; i += 1) fused[i] /= heads;
  return fused;
}

/**
 * A record's attention. `rows(layer, token)` gives the rows if they are here, else null; `load(layer, token)` fetches
 * what they need: a layer's queries and keys or, for large models (mode "rows"), the rows alone.
 */
export class Attention {
  constructor(seen, fetch) {
    Object.assign(this, { seen, fetch, layers: new Map(), kept: new Map(), loading: new Map() });
    for (const [layer, packed] of Object.entries(seen.attention.inline)) this.layers.set(Number(layer), this.unpack(packed));
  }

  unpack(packed) {
    const { heads, tokens, attention } = this.seen;
    const shape = [heads, tokens, attention.dimension];
    return { queries: floats(packed.queries, shape, "queries"), keys: floats(packed.keys, shape, "keys") };
  }

  rows(layer, token) {
    const name = `${layer}/${token}`;
    const here = this.kept.get(name);
    if (here) return here;
    const made = this.layers.get(layer);
    if (!made) return null;
    const { heads, tokens, attention } = this.seen;
    return this.keep(name, attentionRows(made.queries, made.keys, token, heads, tokens, attention.dimension));
  }

  keep(name, rows) {
    if (this.kept.size >= KEPT) this.kept.delete(this.kept.keys().next().value);
    this.kept.set(name, rows);
    return rows;
  }

  load(layer, token) {
    const whole = this.seen.attention.mode === "layers";
    const name = whole ? `${layer}` : `${layer}/${token}`;
    if (!this.loading.has(name)) {
      const request = whole ? { kind: "layer", layer } : { kind: "row", layer, token };
      const done = this.ask(request).then((packed) => {
        if (whole) this.layers.set(layer, this.unpack(packed));
        else this.keep(name, floats(packed.rows, [this.seen.heads, this.seen.tokens], "rows"));
      });
      this.loading.set(name, done.finally(() => this.loading.delete(name)));
    }
    return this.loading.get(name);
  }

  async ask(request) {
    if (!this.fetch) throw new Error("This view was made without its model: attention of single layers is not in it.");
    return this.fetch({ id: this.seen.id, ...request });
  }
}
