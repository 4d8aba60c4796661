/** Views: the parts of an image, or around it, that a detector runs on. */

import { center, height, roundHalfEven, width, type Corners } from "./geometry";
import type { Pixels } from "./pixels";

const TILE = 512;
const OVERLAP = 0.25;
const LARGE = 768;
const MIN_FACE_SHARE = 0.05;
// Views with a smaller range of levels are empty.
const FLAT_LEVELS = 12;
export const MAX_TILES = 40;

/** left, top, right, bottom in pixels; maxima are exclusive. It may extend beyond the image. */
export type View = Corners;

export function sideOf(view: View): number {
  return Math.max(width(view), height(view));
}

/** Overlapping tiles of an image, level by level; none for up to 768 pixels. */
export function tiles(wide: number, high: number, maxTiles = MAX_TILES): View[] {
  return tileSides(wide, high, maxTiles).flatMap((side) =>
    starts(wide, side).flatMap((left) =>
      starts(high, side).map((top): View => [left, top, Math.min(left + side, wide), Math.min(top + side, high)]),
    ),
  );
}

function tileSides(wide: number, high: number, maxTiles: number): number[] {
  let side = Math.max(wide, high);
  if (side <= LARGE) return [];
  let smallest = TILE;
  while (starts(wide, smallest).length * starts(high, smallest).length > maxTiles) smallest = Math.ceil(smallest * 1.1);
  const sides: number[] = [];
  while (side > smallest) {
    side = Math.max(smallest, Math.ceil((side * MIN_FACE_SHARE) / OVERLAP));
    sides.push(side);
  }
  return sides;
}

function starts(length: number, side: number): number[] {
  if (length <= side) return [0];
  const count = 1 + Math.ceil((length - side) / (side * (1 - OVERLAP)));
  return Array.from({ length: count }, (_, k) => roundHalfEven(((length - side) * k) / (count - 1)));
}

/** The square around the same center, `scale` times as long as the longer side. */
export function around(view: View, scale: number): View {
  const [x, y] = center(view);
  const reach = Math.max(1, (sideOf(view) * scale) / 2);
  return [roundHalfEven(x - reach), roundHalfEven(y - reach), roundHalfEven(x + reach), roundHalfEven(y + reach)];
}

export function wholeOf(image: Pixels): View {
  return [0, 0, image.width, image.height];
}

/** Whether a part reaches to the border of the image. */
export function atBorder([left, top, right, bottom]: View, whole: View): boolean {
  return left <= 0 || top <= 0 || right >= whole[2] || bottom >= whole[3];
}

/** Whether a box reaches to the border of the image or beyond, with its center inside. */
export function isCut(box: Corners, whole: View): boolean {
  const margin = 0.05 * Math.max(width(box), height(box));
  const [x, y] = center(box);
  return (
    x > 0 && x < whole[2] && y > 0 && y < whole[3] &&
    (box[0] < margin || box[1] < margin || box[2] > whole[2] - margin || box[3] > whole[3] - margin)
  );
}

/** Whether nothing can be seen in a part of the image. */
export function isFlat({ data, width: wide }: Pixels, [left, top, right, bottom]: View): boolean {
  const step = Math.min(8, 1 + Math.floor(Math.max(right - left, bottom - top) / 64));
  // Of each channel: a plain color shows no more than gray does.
  for (let channel = 0; channel < 3; channel++) {
    let low = 255;
    let high = 0;
    for (let y = top; y < bottom; y += step) {
      for (let x = left; x < right; x += step) {
        const value = data[4 * (y * wide + x) + channel]!;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
    if (high - low >= FLAT_LEVELS) return false;
  }
  return true;
}
