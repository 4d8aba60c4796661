/** A small picture of a face, to check whether it is the same one as a moment ago. */

import { pointAt, type Points } from "./faces";
import type { Transform } from "./geometry";
import { MOTION } from "./constants";
import { mean, toGray, warp, type Pixels } from "./pixels";

const SIZE = 20;
const EYE_Y = 0.38;
const EYE_DISTANCE = 0.62;

/** Gray levels of an upright face, of mean 0 and length 1; null without contrast, or where the border cuts it. */
export function facePatch(image: Pixels, points: Points | null): Float32Array | null {
  if (points?.scheme !== "mesh468") return null;
  const [leftX, leftY] = pointAt(points, 33);
  const [rightX, rightY] = pointAt(points, 263);
  const distance = Math.hypot(rightX - leftX, rightY - leftY);
  if (distance < 1) return null;
  const [x, y] = [(leftX + rightX) / 2, (leftY + rightY) / 2];
  const centerX = x - ((0.5 - EYE_Y) * (rightY - leftY)) / EYE_DISTANCE;
  const centerY = y + ((0.5 - EYE_Y) * (rightX - leftX)) / EYE_DISTANCE;
  const reach = ((0.5 - MOTION.MOST_CUT) * distance) / EYE_DISTANCE;
  const inside = (at: number, length: number) => at >= reach && at <= length - reach;
  if (!inside(centerX, image.width) || !inside(centerY, image.height)) return null;
  const scale = (EYE_DISTANCE * SIZE) / distance;
  const cos = (scale * (rightX - leftX)) / distance;
  const sin = (scale * (rightY - leftY)) / distance;
  const transform: Transform = [
    cos, sin, SIZE / 2 - cos * x - sin * y,
    -sin, cos, EYE_Y * SIZE + sin * x - cos * y,
  ];
  const gray = toGray(warp(image, transform, SIZE, SIZE));
  const middle = mean(gray);
  const centered = Float32Array.from(gray, (level) => level - middle);
  const length = Math.sqrt(centered.reduce((sum, value) => sum + value * value, 0));
  return length > SIZE ? centered.map((value) => value / length) : null;
}

/** Correlation of two patches in [-1, 1]; null where one is missing. */
export function similarity(a: Float32Array | null, b: Float32Array | null): number | null {
  return a && b && a.reduce((sum, value, k) => sum + value * b[k]!, 0);
}
