/** Noise of a small or dim sensor, removed from a crop before the network sees it: mien/expression/noise.py. */

import { NOISE } from "./constants";
import { areaOfFour, mean, mirroredIndex, toGray, variance, type Pixels } from "./pixels";

/** A crop without the noise that hides the expression; most crops stay as they are. */
export function withoutNoise(crop: Pixels): Pixels {
  const { width, height } = crop;
  let gray = toGray(crop);
  const contrast = Math.max(Math.sqrt(variance(gray)), 1);
  const noise = noiseOf(gray, width, height);
  if (noise < NOISE.LEAST * contrast) return crop;
  const excess = noise ** 2 - (NOISE.TEXTURE * contrast) ** 2;
  const share = Math.min(excess / (NOISE.TEXTURE * contrast) ** 2, 1);
  const gain = 1 + share * (Math.max(NOISE.LEAST_CONTRAST / contrast, 1) - 1);
  if (gain > 1) {
    const middle = mean(gray);
    const target = middle + share * (NOISE.MIDDLE - middle);
    gray = Uint8ClampedArray.from(gray, (value) => (value - middle) * gain + target);
  }
  return fromGray(likeMeans(gray, width, height, NOISE.STRENGTH * gain * Math.sqrt(excess)), width, height);
}

/** Standard deviation of the noise at half the size, after Immerkær 1996. */
function noiseOf(gray: Uint8ClampedArray, width: number, height: number): number {
  const half = areaOfFour(gray, width, height);
  const [columns, rows] = [width >> 1, height >> 1];
  const found = new Float32Array((columns - 2) * (rows - 2));
  let k = 0;
  for (let y = 1; y < rows - 1; y++) {
    for (let x = 1; x < columns - 1; x++) {
      const at = (dx: number, dy: number): number => half[(y + dy) * columns + x + dx]!;
      const corners = at(-1, -1) + at(1, -1) + at(-1, 1) + at(1, 1);
      const sides = at(0, -1) + at(0, 1) + at(-1, 0) + at(1, 0);
      found[k++] = Math.abs(corners - 2 * sides + 4 * at(0, 0));
    }
  }
  found.sort();
  return found[k >> 1]! / NOISE.MEDIAN;
}

/** Non-local means (Buades et al. 2005): each pixel is the mean of those with like surroundings. */
function likeMeans(gray: Uint8ClampedArray, width: number, height: number, strength: number): Uint8ClampedArray {
  const reach = NOISE.SEARCH_PX >> 1;
  const border = (NOISE.TEMPLATE_PX >> 1) + reach;
  const wide = width + 2 * border;
  const padded = mirrored(gray, width, height, border);
  const sums = new Float32Array(width * height);
  const weights = new Float32Array(width * height);
  const [steps, perStep] = weightsByDistance(strength);
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const distances = patchDistances(padded, wide, height, reach, dy * wide + dx);
      for (let y = 0, k = 0; y < height; y++) {
        let p = (y + border + dy) * wide + border + dx;
        for (let x = 0; x < width; x++, k++, p++) {
          const step = (distances[k]! * perStep) | 0;
          if (step >= steps.length) continue;
          const weight = steps[step]!;
          sums[k]! += weight * padded[p]!;
          weights[k]! += weight;
        }
      }
    }
  }
  return Uint8ClampedArray.from(sums, (sum, k) => sum / weights[k]!);
}

/** The weight of a pixel by steps of the distance, until it is next to nothing; and steps per unit. */
function weightsByDistance(strength: number): [Float32Array, number] {
  const unit = (NOISE.TEMPLATE_PX * strength) ** 2;
  const perStep = 1024 / (-Math.log(NOISE.LEAST_WEIGHT) * unit);
  return [Float32Array.from({ length: 1024 }, (_, step) => Math.exp(-(step + 0.5) / perStep / unit)), perStep];
}

/** For each pixel, the sum of squared differences of its surroundings to those that are `shift` away. */
function patchDistances(padded: Int16Array, wide: number, height: number, reach: number, shift: number): Int32Array {
  const size = NOISE.TEMPLATE_PX;
  const width = wide - 2 * reach - size + 1;
  const found = new Int32Array(width * height);
  const columns = new Int32Array(width + size - 1);
  for (let y = 0, k = 0; y < height + size - 1; y++) {
    let p = (y + reach) * wide + reach;
    const leaves = y >= size ? size * wide : 0;
    for (let x = 0; x < columns.length; x++, p++) {
      const enters = padded[p]! - padded[p + shift]!;
      columns[x]! += enters * enters;
      if (leaves) {
        const left = padded[p - leaves]! - padded[p - leaves + shift]!;
        columns[x]! -= left * left;
      }
    }
    if (y < size - 1) continue;
    let sum = 0;
    for (let x = 0; x < columns.length; x++) {
      sum += columns[x]!;
      if (x >= size) sum -= columns[x - size]!;
      if (x >= size - 1) found[k++] = sum;
    }
  }
  return found;
}

function mirrored(gray: Uint8ClampedArray, width: number, height: number, border: number): Int16Array {
  const wide = width + 2 * border;
  const padded = new Int16Array(wide * (height + 2 * border));
  for (let p = 0; p < padded.length; p++) {
    const [x, y] = [(p % wide) - border, Math.floor(p / wide) - border];
    padded[p] = gray[mirroredIndex(y, height) * width + mirroredIndex(x, width)]!;
  }
  return padded;
}

function fromGray(gray: Uint8ClampedArray, width: number, height: number): Pixels {
  const data = new Uint8ClampedArray(4 * gray.length).fill(255);
  gray.forEach((value, k) => data.fill(value, 4 * k, 4 * k + 3));
  return { data, width, height };
}
