/** All image operations before a network, as in mien's Python module `imaging`. */

import { LIGHT } from "./constants";
import { compose, invert, roundHalfEven, scaleOf, type Transform } from "./geometry";
import type { InputSpec } from "./specs";

/** RGBA, eight bits a channel; alpha is ignored. */
export interface Pixels {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

// Beyond this reduction, bilinear sampling would skip pixels and cause aliasing.
const MAX_PLAIN_SHRINK = 1.5;
// For a detector, the detail of small faces matters more than aliasing.
const LETTERBOX_PLAIN_SHRINK = 2;

export function blank(width: number, height: number): Pixels {
  return { data: new Uint8ClampedArray(4 * width * height), width, height };
}

/** A rectangle of an image, inside it. */
export function part(image: Pixels, left: number, top: number, right: number, bottom: number): Pixels {
  if (left === 0 && top === 0 && right === image.width && bottom === image.height) return image;
  const result = blank(right - left, bottom - top);
  for (let y = top; y < bottom; y++) {
    const start = 4 * (y * image.width + left);
    result.data.set(image.data.subarray(start, start + 4 * result.width), 4 * (y - top) * result.width);
  }
  return result;
}

/** Turned counterclockwise by a number of quarters. */
export function turned(image: Pixels, quarters: number): Pixels {
  if (!quarters) return image;
  const { width, height } = image;
  const result = quarters === 2 ? blank(width, height) : blank(height, width);
  const from = new Uint32Array(image.data.buffer, image.data.byteOffset, width * height);
  const to = new Uint32Array(result.data.buffer);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [u, v] =
        quarters === 1 ? [y, width - 1 - x]
        : quarters === 2 ? [width - 1 - x, height - 1 - y]
        : [height - 1 - y, x];
      to[v * result.width + u] = from[y * width + x] ?? 0;
    }
  }
  return result;
}

/** Half the size by averaging; an odd last row or column is dropped. */
function halved(image: Pixels): Pixels {
  const result = blank(image.width >> 1, image.height >> 1);
  const { data, width } = image;
  let to = 0;
  for (let y = 0; y < result.height; y++) {
    let above = 8 * y * width;
    for (let x = 0; x < result.width; x++, above += 8, to += 4) {
      const below = above + 4 * width;
      for (let c = 0; c < 3; c++) {
        result.data[to + c] =
          (data[above + c]! + data[above + 4 + c]! + data[below + c]! + data[below + 4 + c]! + 2) >> 2;
      }
    }
  }
  return result;
}

/** Halves until bilinear sampling can do the rest of a reduction. */
function reduced(image: Pixels, shrink: number, plainShrink: number): [Pixels, number] {
  let factor = 1;
  while (shrink / factor > plainShrink && Math.min(image.width, image.height) >= 2) {
    image = halved(image);
    factor *= 2;
  }
  return [image, factor];
}

/** Fits an image into a size with black borders; also returns the transform from the image. */
export function letterbox(image: Pixels, wide: number, high: number): [Pixels, Transform] {
  const scale = Math.min(wide / image.width, high / image.height);
  const inner = [Math.max(1, roundHalfEven(image.width * scale)), Math.max(1, roundHalfEven(image.height * scale))] as const;
  const left = (wide - inner[0]) >> 1;
  const top = (high - inner[1]) >> 1;
  const [small, factor] = reduced(image, 1 / scale, LETTERBOX_PLAIN_SHRINK);
  const framed = blank(wide, high);
  for (let p = 3; p < framed.data.length; p += 4) framed.data[p] = 255;
  resizeInto(small, framed, left, top, inner[0], inner[1]);
  const scaleX = inner[0] / small.width / factor;
  const scaleY = inner[1] / small.height / factor;
  return [framed, [scaleX, 0, left, 0, scaleY, top]];
}

// OpenCV computes bilinear resizing in integers. A detector amplifies differences of one level, so
// the same integers are used here.
const COEFFICIENT = 2048;

/** The two source positions and weights of each target position along an axis. */
function taps(from: number, to: number): Int32Array {
  const found = new Int32Array(4 * to);
  for (let k = 0; k < to; k++) {
    const position = Math.fround((k + 0.5) * (from / to) - 0.5);
    let first = Math.floor(position);
    let rest = Math.fround(position - first);
    if (first < 0) first = rest = 0;
    if (first >= from - 1) {
      first = from - 1;
      rest = 0;
    }
    found[4 * k] = first;
    found[4 * k + 1] = Math.min(first + 1, from - 1);
    found[4 * k + 2] = roundHalfEven(Math.fround(1 - rest) * COEFFICIENT);
    found[4 * k + 3] = roundHalfEven(rest * COEFFICIENT);
  }
  return found;
}

/** Resizes an image bilinearly into a rectangle of another, as OpenCV does. */
function resizeInto(image: Pixels, target: Pixels, left: number, top: number, wide: number, high: number): void {
  const across = taps(image.width, wide);
  const down = taps(image.height, high);
  const rows = new Map<number, Int32Array>();
  const rowAt = (y: number): Int32Array => {
    let row = rows.get(y);
    if (!row) {
      row = new Int32Array(3 * wide);
      const start = 4 * y * image.width;
      for (let x = 0; x < wide; x++) {
        const [p, q] = [start + 4 * across[4 * x]!, start + 4 * across[4 * x + 1]!];
        for (let c = 0; c < 3; c++) {
          row[3 * x + c] = (image.data[p + c]! * across[4 * x + 2]! + image.data[q + c]! * across[4 * x + 3]!) >> 4;
        }
      }
      rows.set(y, row);
    }
    return row;
  };
  for (let y = 0; y < high; y++) {
    const upper = rowAt(down[4 * y]!);
    const lower = rowAt(down[4 * y + 1]!);
    for (const known of rows.keys()) if (known < down[4 * y]!) rows.delete(known);
    const [share, rest] = [down[4 * y + 2]!, down[4 * y + 3]!];
    let to = 4 * ((top + y) * target.width + left);
    for (let x = 0; x < 3 * wide; x += 3, to += 4) {
      for (let c = 0; c < 3; c++) {
        target.data[to + c] = (((share * upper[x + c]!) >> 16) + ((rest * lower[x + c]!) >> 16) + 2) >> 2;
      }
    }
  }
}

/** Warps an image by a similarity, without aliasing. Outside of the image are its edge pixels, or black. */
export function warp(image: Pixels, transform: Transform, wide: number, high: number, replicate = true): Pixels {
  const [seen, fromSeen] = partToRead(image, transform, wide, high);
  const result = blank(wide, high);
  sample(seen, fromSeen, result, replicate);
  return result;
}

/** The part of the image that a warp reads, reduced to about the scale of the warp. */
function partToRead(image: Pixels, transform: Transform, wide: number, high: number): [Pixels, Transform] {
  const inverse = invert(transform);
  const shrink = scaleOf(inverse);
  const [a, b, x, c, d, y] = inverse;
  const xs = [x, x + a * wide, x + b * high, x + a * wide + b * high];
  const ys = [y, y + c * wide, y + d * high, y + c * wide + d * high];
  const margin = 2 * Math.max(1, shrink);
  const left = clamp(Math.floor(Math.min(...xs) - margin), 0, image.width - 1);
  const top = clamp(Math.floor(Math.min(...ys) - margin), 0, image.height - 1);
  const right = Math.max(left + 1, clamp(Math.ceil(Math.max(...xs) + margin), 0, image.width));
  const bottom = Math.max(top + 1, clamp(Math.ceil(Math.max(...ys) + margin), 0, image.height));
  if (shrink <= MAX_PLAIN_SHRINK) return [image, transform];
  const [small, factor] = reduced(part(image, left, top, right, bottom), shrink, MAX_PLAIN_SHRINK);
  return [small, compose(transform, [factor, 0, left, 0, factor, top])];
}

/** Bilinear sampling; the center of the first pixel is (0.5, 0.5). */
function sample(image: Pixels, transform: Transform, result: Pixels, replicate: boolean): void {
  const [a, b, x0, c, d, y0] = invert(transform);
  const { data, width, height } = image;
  const out = result.data;
  let to = 0;
  for (let v = 0; v < result.height; v++) {
    for (let u = 0; u < result.width; u++, to += 4) {
      const x = a * (u + 0.5) + b * (v + 0.5) + x0 - 0.5;
      const y = c * (u + 0.5) + d * (v + 0.5) + y0 - 0.5;
      const left = Math.floor(x);
      const top = Math.floor(y);
      const right = x - left;
      const below = y - top;
      const inside = left >= 0 && top >= 0 && left + 1 < width && top + 1 < height;
      if (inside) {
        const p = 4 * (top * width + left);
        const q = p + 4 * width;
        for (let k = 0; k < 3; k++) {
          const upper = data[p + k]! + right * (data[p + 4 + k]! - data[p + k]!);
          const lower = data[q + k]! + right * (data[q + 4 + k]! - data[q + k]!);
          out[to + k] = upper + below * (lower - upper);
        }
      } else {
        for (let k = 0; k < 3; k++) {
          const at = (px: number, py: number): number => {
            if (!replicate && (px < 0 || py < 0 || px >= width || py >= height)) return 0;
            return data[4 * (clamp(py, 0, height - 1) * width + clamp(px, 0, width - 1)) + k]!;
          };
          const upper = (1 - right) * at(left, top) + right * at(left + 1, top);
          const lower = (1 - right) * at(left, top + 1) + right * at(left + 1, top + 1);
          out[to + k] = (1 - below) * upper + below * lower;
        }
      }
      out[to + 3] = 255;
    }
  }
}

/** Gray levels by ITU-R BT.601. */
export function toGray(image: Pixels): Uint8ClampedArray {
  const gray = new Uint8ClampedArray(image.width * image.height);
  const { data } = image;
  for (let k = 0, p = 0; k < gray.length; k++, p += 4) {
    gray[k] = (data[p]! * 4899 + data[p + 1]! * 9617 + data[p + 2]! * 1868 + 8192) >> 14;
  }
  return gray;
}

/** Means of two by two gray levels, without rounding; an odd last row or column is left out. */
export function areaOfFour(gray: ArrayLike<number>, width: number, height: number): Float32Array {
  const [columns, rows] = [width >> 1, height >> 1];
  return Float32Array.from({ length: columns * rows }, (_, k) => {
    const p = 2 * (Math.floor(k / columns) * width + (k % columns));
    return (gray[p]! + gray[p + 1]! + gray[p + width]! + gray[p + width + 1]!) / 4;
  });
}

/** A picture for a network that finds faces or landmarks: a dim one gets more light (mien/imaging.py, `lit`). */
export function lit(image: Pixels): Pixels {
  const { width, height, data } = image;
  const counts = new Uint32Array(256);
  let count = 0;
  for (let y = 0; y < height; y += 4) {
    for (let x = 0; x < width; x += 4, count++) counts[data[4 * (y * width + x) + 1]!]!++;
  }
  let bright = 0;
  for (let below = counts[0]!; below <= Math.floor(LIGHT.BRIGHT_SHARE * count); below += counts[bright]!) bright++;
  if (bright >= LIGHT.LEAST_BRIGHT) return image;
  const gain = Math.min(LIGHT.LEAST_BRIGHT / Math.max(bright, 1), LIGHT.MAX_GAIN);
  return { width, height, data: Uint8ClampedArray.from(data, (value, k) => (k % 4 === 3 ? value : value * gain)) };
}

/** The input of a network: channels, rows, columns, normalized as its spec says. */
export function toInput(images: readonly Pixels[], spec: InputSpec): Float32Array {
  const [wide, high] = spec.size_wh;
  const count = images[0] ? images[0].width * images[0].height : wide * high;
  const channels = spec.color === "gray" ? 1 : 3;
  const batch = new Float32Array(images.length * channels * count);
  images.forEach((image, n) => {
    for (let c = 0; c < channels; c++) {
      const mean = spec.mean[c] ?? 0;
      const std = spec.std[c] ?? 1;
      const plane = batch.subarray((n * channels + c) * count, (n * channels + c + 1) * count);
      if (channels === 1) {
        const gray = toGray(image);
        for (let k = 0; k < count; k++) plane[k] = (gray[k]! - mean) / std;
      } else {
        const source = spec.color === "bgr" ? 2 - c : c;
        for (let k = 0; k < count; k++) plane[k] = (image.data[4 * k + source]! - mean) / std;
      }
    }
  });
  return batch;
}

/** An index beyond an end of a row, folded back as in a mirror that does not repeat the end. */
export function mirroredIndex(k: number, count: number): number {
  return k < 0 ? -k : k >= count ? 2 * count - 2 - k : k;
}

/** Variance of the Laplacian over that of the gray levels (after Pech-Pacheco et al. 2000). */
export function sharpness(gray: Uint8ClampedArray, side: number): number {
  const at = (x: number, y: number) => gray[mirroredIndex(y, side) * side + mirroredIndex(x, side)]!;
  const detail = new Float64Array(side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      detail[y * side + x] = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4 * at(x, y);
    }
  }
  return variance(detail) / (variance(gray) + 1);
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let k = 0; k < values.length; k++) sum += values[k]!;
  return sum / values.length;
}

export function variance(values: ArrayLike<number>): number {
  const middle = mean(values);
  let sum = 0;
  for (let k = 0; k < values.length; k++) sum += (values[k]! - middle) ** 2;
  return sum / values.length;
}

/** Mean over areas: gray levels of an image reduced to a small grid. */
export function areaMeans(gray: ArrayLike<number>, width: number, height: number, columns: number, rows: number): Float32Array {
  const sums = new Float32Array(columns * rows);
  const across = shares(width, columns);
  const down = shares(height, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      let weight = 0;
      for (const [y, shareY] of down[row]!) {
        for (const [x, shareX] of across[column]!) {
          sum += shareX * shareY * gray[y * width + x]!;
          weight += shareX * shareY;
        }
      }
      sums[row * columns + column] = Math.round(sum / weight);
    }
  }
  return sums;
}

/** The pixels that each cell of a grid covers, with the share of each. */
function shares(length: number, cells: number): [number, number][][] {
  return Array.from({ length: cells }, (_, cell) => {
    const from = (cell * length) / cells;
    const to = ((cell + 1) * length) / cells;
    const covered: [number, number][] = [];
    for (let k = Math.floor(from); k < Math.min(length, Math.ceil(to)); k++) {
      covered.push([k, Math.min(to, k + 1) - Math.max(from, k)]);
    }
    return covered;
  });
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
