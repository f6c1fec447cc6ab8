// Painting: the image behind, a map over it, outlines. Everything as dcal.draw.overlay paints it, within rounding.

import { colourIndex, cssColours, pixelColours } from "./colour.js";
import { gridOn } from "./placement.js";

const UNSEEN = 0.3; // brightness of what the model did not see
const PASSED_OVER = 0.45; // brightness of patches that were not selected
const ACCENT = "rgb(255,196,0)";

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** The image at one size, in colour and in grey, what the model did not see dimmed; and, per opacity, both mixed. */
export class Ground {
  constructor(seen, image, width, height) {
    this.grid = gridOn(seen, width, height);
    this.bright = canvasOf(width, height);
    const context = this.bright.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, width, height);
    const pixels = context.getImageData(0, 0, width, height);
    this.dimUnseen(pixels.data);
    context.putImageData(pixels, 0, 0);
    drain(pixels.data);
    this.grey = canvasOf(width, height);
    this.grey.getContext("2d").putImageData(pixels, 0, 0);
    this.mixed = canvasOf(width, height);
    this.opacity = null;
  }

  get inside() {
    const { x, y } = this.grid;
    return { left: x[0], top: y[0], width: x[x.length - 1] - x[0], height: y[y.length - 1] - y[0] };
  }

  dimUnseen(data) {
    const { width, height } = this.grid;
    const { left, top, width: w, height: h } = this.inside;
    for (let y = 0, at = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1, at += 4) {
        if (x >= left && x < left + w && y >= top && y < top + h) continue;
        for (let i = at; i < at + 3; i += 1) data[i] = Math.round(data[i] * UNSEEN);
      }
    }
  }

  /** A canvas: the image inside the grid turned grey by `opacity`, as it lies under the map. */
  under(opacity) {
    if (this.opacity === opacity) return this.mixed;
    const context = this.mixed.getContext("2d");
    context.globalAlpha = 1;
    context.drawImage(this.bright, 0, 0);
    const { left, top, width, height } = this.inside;
    context.globalAlpha = opacity;
    if (width && height) context.drawImage(this.grey, left, top, width, height, left, top, width, height);
    this.opacity = opacity;
    return this.mixed;
  }
}

function drain(data) {
  for (let at = 0; at < data.length; at += 4) {
    data[at] = data[at + 1] = data[at + 2] = Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]);
  }
}

/** Paint {values, low, high, table} over `ground` into `context`; `smooth`: bilinear between patch centres. */
export function paintMap(context, ground, map, opacity, smooth) {
  context.globalAlpha = 1;
  context.drawImage(ground.under(opacity), 0, 0);
  context.globalAlpha = opacity;
  if (smooth) paintSmooth(context, ground, map);
  else paintPatches(context, ground.grid, map);
  context.globalAlpha = 1;
}

function paintPatches(context, { x, y }, { values, low, high, table }) {
  const colours = cssColours(table);
  const cols = x.length - 1;
  for (let row = 0, patch = 0; row < y.length - 1; row += 1) {
    for (let col = 0; col < cols; col += 1, patch += 1) {
      context.fillStyle = colours[colourIndex(values[patch], low, high)];
      context.fillRect(x[col], y[row], x[col + 1] - x[col], y[row + 1] - y[row]);
    }
  }
}

/** Paint patches in colours of their own, p × 3 numbers in [0, 1]. */
export function paintColours(context, ground, colours, opacity) {
  const { x, y } = ground.grid;
  const cols = x.length - 1;
  context.globalAlpha = 1;
  context.drawImage(ground.under(opacity), 0, 0);
  context.globalAlpha = opacity;
  for (let patch = 0; patch < colours.length / 3; patch += 1) {
    const [row, col] = [Math.floor(patch / cols), patch % cols];
    const [red, green, blue] = colours.subarray(3 * patch, 3 * patch + 3);
    context.fillStyle = `rgb(${Math.round(255 * red)},${Math.round(255 * green)},${Math.round(255 * blue)})`;
    context.fillRect(x[col], y[row], x[col + 1] - x[col], y[row + 1] - y[row]);
  }
  context.globalAlpha = 1;
}

function paintSmooth(context, ground, { values, low, high, table }) {
  const { left, top, width, height } = ground.inside;
  if (!width || !height) return;
  const cols = ground.grid.x.length - 1;
  const rows = ground.grid.y.length - 1;
  ground.between ??= { across: between(ground.grid.across, left, width, cols), down: between(ground.grid.down, top, height, rows) };
  ground.pixels ??= new ImageData(width, height);
  ground.layer ??= canvasOf(width, height);
  const { across, down } = ground.between;
  const { lower, weight } = across;
  const target = new Uint32Array(ground.pixels.data.buffer);
  const colours = pixelColours(table);
  const steps = high > low ? 255 / (high - low) : 0;
  const line = new Float32Array(cols + 1); // the row's values at the patch centres, as places in the table
  const slope = new Float32Array(cols);
  for (let y = 0, at = 0; y < height; y += 1) {
    const row = down.lower[y] * cols;
    const below = Math.min(down.lower[y] + 1, rows - 1) * cols;
    const share = down.weight[y];
    for (let col = 0; col < cols; col += 1) {
      line[col] = (values[row + col] * (1 - share) + values[below + col] * share - low) * steps;
    }
    line[cols] = line[cols - 1];
    for (let col = 0; col < cols; col += 1) slope[col] = line[col + 1] - line[col];
    for (let x = 0; x < width; x += 1, at += 1) {
      const col = lower[x];
      const place = line[col] + slope[col] * weight[x] + 0.5;
      target[at] = colours[place < 0 ? 0 : place > 255 ? 255 : place | 0];
    }
  }
  ground.layer.getContext("2d").putImageData(ground.pixels, 0, 0);
  context.drawImage(ground.layer, left, top);
}

function between(position, start, length, count) {
  const lower = new Int32Array(length);
  const weight = new Float32Array(length);
  for (let i = 0; i < length; i += 1) {
    const centre = Math.min(Math.max(position[start + i] - 0.5, 0), count - 1);
    lower[i] = Math.min(Math.floor(centre), Math.max(count - 2, 0));
    weight[i] = centre - lower[i];
  }
  return { lower, weight };
}

/** Paint the image with the patches in `mask` bright and outlined, the others dimmed. */
export function paintSelection(context, ground, mask) {
  const { x, y } = ground.grid;
  const cols = x.length - 1;
  context.globalAlpha = 1;
  context.drawImage(ground.bright, 0, 0);
  context.fillStyle = `rgba(0,0,0,${1 - PASSED_OVER})`;
  for (let row = 0, patch = 0; row < y.length - 1; row += 1) {
    for (let col = 0; col < cols; col += 1, patch += 1) {
      if (!mask[patch]) context.fillRect(x[col], y[row], x[col + 1] - x[col], y[row + 1] - y[row]);
    }
  }
  outline(context, ground.grid, mask);
}

/** The border of the patches in `mask`: in the accent colour inside them, black just outside. */
export function outline(context, { x, y, width, height }, mask) {
  const broad = Math.max(1, Math.round(Math.max(width, height) / 300));
  const edge = Math.max(1, Math.floor(broad / 2));
  const cols = x.length - 1;
  const rows = y.length - 1;
  const has = (row, col) => row >= 0 && row < rows && col >= 0 && col < cols && Boolean(mask[row * cols + col]);
  const each = (paint) => {
    for (let row = 0; row < rows; row += 1) {
      for (let col = 0; col < cols; col += 1) if (has(row, col)) paint(row, col);
    }
  };
  const bars = (grow, thick) => (row, col) => {
    const [left, top, right, bottom] = [x[col], y[row], x[col + 1], y[row + 1]];
    const wide = right - left + 2 * grow;
    const tall = bottom - top + 2 * grow;
    if (!has(row - 1, col)) context.fillRect(left - grow, top - grow, wide, thick);
    if (!has(row + 1, col)) context.fillRect(left - grow, bottom + grow - thick, wide, thick);
    if (!has(row, col - 1)) context.fillRect(left - grow, top - grow, thick, tall);
    if (!has(row, col + 1)) context.fillRect(right + grow - thick, top - grow, thick, tall);
  };
  context.fillStyle = "black";
  each(bars(edge, edge));
  context.fillStyle = ACCENT;
  each(bars(0, broad));
}

/** Paint a map as small as its grid, scaled up: for thumbnails, where a pixel's edge does not matter. */
export function paintSmall(context, ground, map, opacity) {
  const rows = ground.grid.y.length - 1;
  const cols = ground.grid.x.length - 1;
  ground.small ??= canvasOf(cols, rows);
  const small = ground.small.getContext("2d");
  const pixels = new ImageData(cols, rows);
  const target = new Uint32Array(pixels.data.buffer);
  const colours = pixelColours(map.table);
  for (let i = 0; i < target.length; i += 1) target[i] = colours[colourIndex(map.values[i], map.low, map.high)];
  small.putImageData(pixels, 0, 0);
  const { left, top, width, height } = ground.inside;
  context.globalAlpha = 1;
  context.drawImage(ground.under(opacity), 0, 0);
  context.globalAlpha = opacity;
  context.imageSmoothingEnabled = false;
  if (width && height) context.drawImage(ground.small, left, top, width, height);
  context.globalAlpha = 1;
}
