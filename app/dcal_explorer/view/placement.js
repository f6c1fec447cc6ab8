// Where the patches lie on a drawn image: the same arithmetic as dcal.draw.placement, pixel for pixel.

/** For each of `length` pixels over `extent` image pixels, where its centre lies on a grid over [low, high). */
export function positions(length, extent, low, high, count) {
  return Float64Array.from({ length }, (_, pixel) => ((((pixel + 0.5) * (extent / length)) - low) / (high - low)) * count);
}

/** count + 1 pixel numbers: patch i covers the pixels from edges[i] up to, not including, edges[i + 1]. */
export function edges(position, count) {
  const found = new Int32Array(count + 1).fill(position.length);
  for (let pixel = 0, patch = 0; pixel < position.length; pixel += 1) {
    for (; patch <= count && Math.floor(position[pixel]) >= patch; patch += 1) found[patch] = pixel;
  }
  return found;
}

/** The grid on a canvas of width × height pixels: {x, y: edges; across, down: positions}. */
export function gridOn(seen, width, height) {
  const [left, top, right, bottom] = seen.box;
  const across = positions(width, seen.extent[0], left, right, seen.cols);
  const down = positions(height, seen.extent[1], top, bottom, seen.rows);
  return { width, height, across, down, x: edges(across, seen.cols), y: edges(down, seen.rows) };
}

/** The patch at (u, v), fractions of the drawn image's width and height; null where the model saw nothing. */
export function patchAt(seen, u, v) {
  const [left, top, right, bottom] = seen.box;
  const col = Math.floor(((u * seen.extent[0] - left) / (right - left)) * seen.cols);
  const row = Math.floor(((v * seen.extent[1] - top) / (bottom - top)) * seen.rows);
  return row >= 0 && row < seen.rows && col >= 0 && col < seen.cols ? row * seen.cols + col : null;
}

/** A patch's rectangle in fractions of the drawn image: {left, top, width, height}. */
export function patchRect(seen, patch) {
  const [left, top, right, bottom] = seen.box;
  const [row, col] = [Math.floor(patch / seen.cols), patch % seen.cols];
  const width = (right - left) / seen.cols / seen.extent[0];
  const height = (bottom - top) / seen.rows / seen.extent[1];
  return { left: left / seen.extent[0] + col * width, top: top / seen.extent[1] + row * height, width, height };
}

/** "row 5, column 7", counted from 1. */
export function placeName(seen, patch) {
  return `row ${Math.floor(patch / seen.cols) + 1}, column ${(patch % seen.cols) + 1}`;
}
