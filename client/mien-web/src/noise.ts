/** Noise of a small or dim sensor, removed from a crop before the network sees it: mien/expression/noise.py. */

import { NOISE } from "./constants";
import { areaOfFour, mean, toGray, variance, type Pixels } from "./pixels";

/** A crop without the noise that hides the expression; most crops stay as they are. */
export function withoutNoise(crop: Pixels): Pixels {
  const { width, height } = crop;
  let gray = toGray(crop);
  const contrast = Math.max(Math.sqrt(variance(gray)), 1);
  const excess = noiseOf(gray, width, height) ** 2 - (NOISE.TEXTURE * contrast) ** 2;
  if (excess <= 0) return crop;
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
  return (found[(k - 1) >> 1]! + found[k >> 1]!) / 2 / NOISE.MEDIAN;
}

/** Non-local means (Buades et al. 2005): each pixel is the mean of those with like surroundings. */
function likeMeans(gray: Uint8ClampedArray, width: number, height: number, strength: number): Uint8ClampedArray {
  const around = NOISE.TEMPLATE_PX >> 1;
  const reach = NOISE.SEARCH_PX >> 1;
  const border = around + reach;
  const wide = width + 2 * border;
  const padded = mirrored(gray, width, height, border);
  const sums = new Float64Array(width * height);
  const weights = new Float64Array(width * height);
  const columns = new Float64Array(width + 2 * around);
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const shift = dy * wide + dx;
      const squared = (x: number, y: number): number => {
        const p = (y + reach) * wide + x + reach;
        return (padded[p]! - padded[p + shift]!) ** 2;
      };
      columns.fill(0);
      for (let y = 0; y < 2 * around; y++) for (let x = 0; x < columns.length; x++) columns[x]! += squared(x, y);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < columns.length; x++) {
          columns[x]! += squared(x, y + 2 * around) - (y ? squared(x, y - 1) : 0);
        }
        let sum = 0;
        for (let x = 0; x < 2 * around; x++) sum += columns[x]!;
        for (let x = 0; x < width; x++) {
          sum += columns[x + 2 * around]! - (x ? columns[x - 1]! : 0);
          const weight = Math.exp(-sum / NOISE.TEMPLATE_PX ** 2 / strength ** 2);
          if (weight < NOISE.LEAST_WEIGHT) continue;
          sums[y * width + x]! += weight * padded[(y + border) * wide + x + border + shift]!;
          weights[y * width + x]! += weight;
        }
      }
    }
  }
  return Uint8ClampedArray.from(sums, (sum, k) => sum / weights[k]!);
}

function mirrored(gray: Uint8ClampedArray, width: number, height: number, border: number): Float32Array {
  const fold = (k: number, count: number): number => (k < 0 ? -k : k >= count ? 2 * count - 2 - k : k);
  const wide = width + 2 * border;
  const padded = new Float32Array(wide * (height + 2 * border));
  for (let p = 0; p < padded.length; p++) {
    const [x, y] = [(p % wide) - border, Math.floor(p / wide) - border];
    padded[p] = gray[fold(y, height) * width + fold(x, width)]!;
  }
  return padded;
}

function fromGray(gray: Uint8ClampedArray, width: number, height: number): Pixels {
  const data = new Uint8ClampedArray(4 * gray.length).fill(255);
  gray.forEach((value, k) => data.fill(value, 4 * k, 4 * k + 3));
  return { data, width, height };
}
