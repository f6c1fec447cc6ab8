// What is fetched when it is first needed, and what the panes say until it is here.

import { fetched } from "./payload.js";

export class Loader {
  /** `changed()` is called when something has come, or could not be had. */
  constructor(seen, attention, changed) {
    Object.assign(this, { seen, attention, changed, pending: new Map(), prefetching: false });
  }

  /** {waiting, failed}: what to say instead of `token`'s attention in `layer`, which is on its way. */
  rows(layer, token) {
    return this.request(`${layer}/${token}`, () => this.attention.load(layer, token), "Reading this layer's attention …");
  }

  /** The same for values of a map; `scene` as `mapScene` gives it where they are missing. */
  values({ map, missing, name }) {
    const start = async () => {
      const answer = await this.attention.ask(missing);
      const values = fetched(answer, map, this.seen);
      if (typeof answer.words === "string") map.words[name] = answer.words;
      map.stacks[name] = values;
    };
    return this.request(`${map.key} ${name}`, start, "Computing this map …");
  }

  request(name, start, meanwhile) {
    if (!this.pending.has(name)) {
      this.pending.set(name, { waiting: meanwhile, failed: false });
      start()
        .then(() => this.pending.delete(name))
        .catch((error) => this.pending.set(name, { waiting: `${error?.message || error}`, failed: true }))
        .then(this.changed);
    }
    return this.pending.get(name);
  }

  /** Forget what failed, so that it is asked for again. */
  forget() {
    for (const [name, { failed }] of this.pending) if (failed) this.pending.delete(name);
  }

  /** Read the layers that have not been read, one by one: whoever goes to the layers' control will want them. */
  async prefetch() {
    const { attention, seen } = this;
    if (this.prefetching || seen.attention.mode !== "layers" || !attention.fetch) return;
    this.prefetching = true;
    for (let layer = seen.layers - 1; layer >= 0; layer -= 1) {
      try {
        if (!attention.layers.has(layer)) await attention.load(layer, 0);
      } catch {
        return; // said when that layer is shown
      }
    }
  }
}
