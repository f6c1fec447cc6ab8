// The live view of one inspected image: mount(host, payload, options) → View.

import { Attention } from "./attention.js";
import { publish, subscribe } from "./bus.js";
import { join, linked, subtracted } from "./difference.js";
import { download } from "./download.js";
import { attribute, element, say } from "./elements.js";
import { layOut } from "./layout.js";
import { Loader } from "./loader.js";
import { toggleTables } from "./numbers_table.js";
import { Ground } from "./paint.js";
import { record } from "./payload.js";
import { placeName } from "./placement.js";
import { attending, attentionScene, attentionWords, comparedPatch, mapScene, stackName } from "./scenes.js";
import { fullScreen } from "./screen.js";
import { SHARED, START, fitted, lost } from "./state.js";
import { watchTheme } from "./theme.js";
import { paintHeads, paintLayers } from "./thumbnails.js";

const BEAT = 600; // milliseconds that a layer is shown while the layers play
const GROUNDS = 6; // sizes of the image kept ready

/**
 * Show `payload` in `host`. Options: `fetch(request)`, which gives a promise of packed arrays; `state`, where to start;
 * `onstate(state)`, called after a change; `link`, a name: views with one name move together; `parts`: "all", "maps"
 * (the map alone, moved by a linked view) or "controls" (what moves the others, and the attention's layers and heads).
 */
export function mount(host, payload, options = {}) {
  const view = new View(host, options);
  view.ready = view.update(payload);
  return view;
}

export class View {
  constructor(host, options) {
    Object.assign(this, { host, options, seen: null, state: { ...START, ...options.state }, version: 0, wanted: null });
    this.live = element("p", { className: "dcal-live", "aria-live": "polite" });
    this.body = element("div", { className: "dcal-body" });
    this.root = element("section", { className: "dcal-view", "data-parts": options.parts || "all" }, this.body, this.live);
    host.replaceChildren(this.root);
    this.screen = fullScreen(this.root, () => this.fit());
    this.theme = watchTheme(this.root);
    this.ends = [this.theme.end, join(this), subscribe(this, (message) => this.receive(message))];
    this.sizes = new ResizeObserver(() => this.fit());
    this.ends.push(() => this.sizes.disconnect(), () => this.pause());
  }

  destroy() {
    for (const end of this.ends) end();
    clearTimeout(this.notice);
    this.root.remove();
  }

  /** Show another record; what is chosen stays, as far as the record has it. A promise, done when it is drawn. */
  async update(payload) {
    const version = (this.version += 1);
    this.theme.look();
    let seen;
    const image = new Image();
    try {
      seen = record(payload);
      this.root.style.setProperty("--dcal-ratio", seen.extent[0] / seen.extent[1]);
      image.src = seen.image.src;
      await image.decode();
    } catch (error) {
      this.fail(error instanceof TypeError ? error.message : "The image cannot be read.");
      return;
    }
    if (version !== this.version) return; // a later record came while the image was decoded
    const note = this.seen ? lost(this.seen, this.state, seen) : "";
    if (payload.state && typeof payload.state === "object") {
      this.state = { ...this.state, ...payload.state };
      if ("map" in payload.state) this.wanted = null; // the page asks for this map, whichever was chosen before
    }
    if (this.wanted !== null) this.state = { ...this.state, map: this.wanted };
    const sameGrid = !this.seen || (this.seen.rows === seen.rows && this.seen.cols === seen.cols);
    this.state = fitted(seen, sameGrid || payload.state ? this.state : { ...this.state, kept: null });
    Object.assign(this, { seen, image, grounds: new Map(), attention: new Attention(seen, this.options.fetch) });
    this.loader = new Loader(seen, this.attention, () => version === this.version && this.loaded());
    this.selected = Uint8Array.from({ length: seen.patches }, (_, patch) => (seen.selected?.includes(patch) ? 1 : 0));
    this.build();
    this.announce(note);
    if (payload.state) this.tell();
    this.fit();
    this.draw();
  }

  fail(message) {
    this.pause();
    this.seen = null;
    this.body.replaceChildren(element("p", { className: "dcal-failure", role: "alert" }, message));
  }

  build() {
    this.faithfulness?.cancel();
    Object.assign(this, layOut(this));
    this.tables = null;
    this.root.setAttribute("aria-label", `Attention maps of ${this.seen.title}`);
    this.body.replaceChildren(...this.elements);
    if (this.testing && this.seen.measures) {
      this.faithfulness.element.hidden = false;
      this.panes.attention.element.hidden = true;
      this.testButton.setAttribute("aria-expanded", true);
    }
    this.sizes.disconnect();
    for (const pane of Object.values(this.panes)) this.sizes.observe(pane.stage);
  }

  get mapShown() {
    return this.seen.maps.find(({ key }) => key === this.state.map);
  }

  /** The image ready at one size; null before there is one. */
  ground(width, height) {
    const name = `${width}×${height}`;
    if (!this.grounds.has(name)) {
      if (this.grounds.size >= GROUNDS) this.grounds.delete(this.grounds.keys().next().value);
      this.grounds.set(name, new Ground(this.seen, this.image, width, height));
    }
    return this.grounds.get(name);
  }

  fit() {
    if (!this.seen) return;
    const changed = Object.values(this.panes).map((pane) => pane.fit());
    if (!changed.some(Boolean)) return;
    this.draw();
    for (const strip of [this.layerStrip, this.headStrip]) strip.reveal();
  }

  /** Change the state, draw at once, and tell whoever listens. */
  set(change, quietly = false) {
    if (!this.seen) {
      this.state = { ...this.state, ...change };
      return;
    }
    const { pointed, shown } = this.state;
    if ("map" in change) this.wanted = change.map;
    this.state = { ...fitted(this.seen, { ...this.state, ...change }), pointed, shown };
    this.draw();
    if (quietly) return;
    this.tell();
    if ("kept" in change) this.publishPatch("keep", this.state.kept);
    if (this.options.link) publish(this, { kind: "state", link: this.options.link, change });
  }

  /** Tell whoever listens what is chosen, once it rests. */
  tell() {
    clearTimeout(this.notice);
    this.notice = setTimeout(() => this.options.onstate?.(this.shared()), 150);
  }

  /** What is chosen, without what the cursor does. */
  shared() {
    return Object.fromEntries(SHARED.map((name) => [name, this.state[name]]));
  }

  publishPatch(kind, patch) {
    const { group, rows, cols } = this.seen;
    publish(this, { kind, group, rows, cols, patch });
  }

  receive(message) {
    const { seen, options } = this;
    if (!this.root.isConnected) this.destroy(); // its face took it away without saying so
    if (!seen || !this.root.isConnected) return;
    if (message.kind === "state") {
      if (options.link && message.link === options.link) this.follow(message.change);
      return;
    }
    if (message.group !== seen.group || message.rows !== seen.rows || message.cols !== seen.cols) return;
    if (message.kind === "keep") this.set({ kept: message.patch }, true);
    else this.hover(message.patch, message.patch);
  }

  /** What a linked view changed; a map that this record has not is said to be missing, and no other one shown. */
  follow(change) {
    if ("map" in change) this.wanted = change.map;
    const { map, ...others } = change;
    this.set(this.absent ? others : change, true);
  }

  /** Whether the map that a linked view chose is none of this record's. */
  get absent() {
    return this.wanted !== null && !this.seen.maps.some(({ key }) => key === this.wanted);
  }

  point(pane, patch) {
    if (patch === this.state.shown) return;
    this.hover(pane.name === "map" ? patch : null, patch);
    this.publishPatch("point", patch);
  }

  hover(pointed, shown) {
    Object.assign(this.state, { pointed, shown });
    this.draw();
  }

  keep(patch) {
    this.set({ kept: patch });
    this.announce(patch === null ? "No patch is kept." : this.spoken());
  }

  /** Move the kept patch by rows and columns; without one, start at the strongest. */
  step(rows, cols) {
    const { seen, state } = this;
    const from = state.kept ?? this.panes.map.scene.own?.at ?? 0;
    const clamp = (value, count) => Math.min(count - 1, Math.max(0, value));
    const moved = state.kept === null ? [0, 0] : [rows, cols];
    const row = clamp(Math.floor(from / seen.cols) + moved[0], seen.rows);
    this.keep(row * seen.cols + clamp((from % seen.cols) + moved[1], seen.cols));
  }

  spoken() {
    const { map } = this.panes;
    return `Kept: ${map.words(this.state.kept)}. Shown: attention of the patch in ${placeName(this.seen, this.state.kept)}.`;
  }

  announce(text) {
    say(this.live, text);
  }

  draw() {
    if (!this.seen) return;
    const { seen, state } = this;
    const token = attending(seen, state);
    let map = mapScene(seen, state);
    if (this.absent) Object.assign(map, { title: "No such map", about: "", waiting: "This checkpoint has no map of this kind." });
    else if (map.missing) Object.assign(map, this.loader.values(map));
    else map = subtracted(this, map);
    const look = [state.opacity, state.colours, state.smooth, state.clip];
    this.present(this.panes.map, map, [
      ...[state.map, state.layer, stackName(this.mapShown, state), state.prefix, state.scale, state.outlined, map.waiting, map.title, map.high],
      ...[this.mapShown.form === "features" ? comparedPatch(seen, state) : null, ...look],
    ]);
    const alone = this.options.parts === "maps"; // nothing is fetched for what is not shown
    const rows = alone ? null : this.attention.rows(state.layer, token);
    const attention = rows
      ? attentionScene(seen, state, rows, token)
      : { ...attentionWords(seen, state, token), ...(alone ? { waiting: "…" } : this.loader.rows(state.layer, token)) };
    this.present(this.panes.attention, attention, [token, state.layer, state.head, state.fusion, attention.waiting, ...look]);
    if (!this.faithfulness.element.hidden) this.faithfulness.show(map);
    if (!alone) this.strips();
    this.controls(token, map, attention);
    if (this.tables) this.tabulate();
  }

  /** Something that was fetched is here: draw it, and the linked views that it may be subtracted from. */
  loaded() {
    this.draw();
    if (this.state.minus) for (const view of linked(this)) if (view !== this) view.draw();
  }

  /** Show a scene in its pane; what is painted already is not painted again. */
  present(pane, scene, parts) {
    const signature = JSON.stringify(parts);
    if (signature === pane.drawn) return void pane.mark();
    pane.show(scene);
    pane.drawn = signature;
    clearTimeout(pane.described);
    pane.described = setTimeout(() => attribute(pane.canvas, "aria-label", pane.describe()), 100);
  }

  strips() {
    paintLayers(this);
    this.layerStrip.choose(this.state.layer);
    this.headStrip.choose(this.state.head);
    this.thumbnails ??= requestAnimationFrame(() => {
      setTimeout(() => { // after the frame of the maps themselves
        this.thumbnails = null;
        if (this.seen && this.root.isConnected) paintHeads(this);
      });
    });
  }

  controls(token, map, attention) {
    const { state, seen } = this;
    const { tab } = this.mapShown;
    this.tabs.choose(tab);
    const kinds = this.kinds.get(tab);
    kinds.choose(state.map);
    if (this.kindPlace.firstChild !== kinds.element) this.kindPlace.replaceChildren(kinds.element);
    attribute(this.kindPlace, "data-single", kinds.buttons.length < 2);
    this.tokens.show(state, token);
    this.layer.show(state, Boolean(this.timer));
    const selection = Boolean(seen.selected) && this.mapShown.branch === "glca" && this.mapShown.unit !== "mask";
    const compared = this.options.parts === "controls" ? linked(this).map((view) => view.seen.title) : [];
    this.look.show(state, this.mapShown, { outliers: map.outliers || attention.outliers, selection, compared });
  }

  /** Ask anew for what could not be had. */
  again() {
    this.loader.forget();
    this.draw();
  }

  play() {
    if (this.timer) return this.pause();
    if (this.state.layer === this.seen.layers - 1) this.set({ layer: 0 });
    this.loader.prefetch();
    this.timer = setInterval(() => {
      if (this.state.layer + 1 >= this.seen.layers - 1) this.pause();
      this.set({ layer: this.state.layer + 1 });
    }, BEAT);
    this.draw();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    if (this.root.isConnected) this.draw();
  }

  /** Show the faithfulness of the map in the place of the attention, or the attention again. */
  test() {
    const open = this.faithfulness.element.hidden;
    this.testing = open;
    this.testButton.setAttribute("aria-expanded", open);
    this.faithfulness.element.hidden = !open;
    this.panes.attention.element.hidden = open;
    if (!open) this.faithfulness.cancel();
    this.draw();
    this.fit();
  }

  async save() {
    if (Object.values(this.panes).some(({ scene }) => scene.waiting)) return;
    try {
      await download(this);
    } catch (error) {
      this.announce(`${error?.message || error}`);
    }
  }

  numbers() {
    toggleTables(this);
    this.tabulate();
  }

  /** Fill the tables once the cursor rests. */
  tabulate() {
    clearTimeout(this.tabulating);
    this.tabulating = setTimeout(() => {
      this.tables?.[0].show(this.panes.map.scene);
      this.tables?.[1].show(this.panes.attention.scene);
    }, 60);
  }
}
