/** Detections and landmarks inside the library; results have the types of `documents.ts`. */

import type { Corners, Point } from "./geometry";

export interface Points {
  readonly scheme: string;
  /** x, y or x, y, z of each point, one after the other, in pixels of the image. */
  readonly values: Float32Array;
  readonly dimensions: 2 | 3;
  readonly presence: number | null;
}

export interface Detection {
  readonly box: Corners;
  readonly score: number;
  readonly points: Points | null;
}

export function pointAt({ values, dimensions }: Points, index: number): Point {
  return [values[index * dimensions]!, values[index * dimensions + 1]!];
}

export function countOf({ values, dimensions }: Points): number {
  return values.length / dimensions;
}

/** The smallest upright box around all points. */
export function boxOf(points: Points): Corners {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let k = 0; k < points.values.length; k += points.dimensions) {
    left = Math.min(left, points.values[k]!);
    right = Math.max(right, points.values[k]!);
    top = Math.min(top, points.values[k + 1]!);
    bottom = Math.max(bottom, points.values[k + 1]!);
  }
  return [left, top, right, bottom];
}

const EYES: Readonly<Record<string, readonly [readonly number[], readonly number[]]>> = {
  mesh468: [[33, 133], [362, 263]],
  blazeface6: [[0], [1]],
};

/** Clockwise turn of the line through the eyes, in degrees in (-180, 180]. */
export function eyeLineAngleDeg(points: Points): number {
  const eyes = EYES[points.scheme];
  if (!eyes) throw new TypeError(`expected landmarks with eyes, got ${points.scheme}`);
  const [left, right] = eyes.map((indices) => {
    let [x, y] = [0, 0];
    for (const index of indices) {
      const point = pointAt(points, index);
      x += point[0] / indices.length;
      y += point[1] / indices.length;
    }
    return [x, y] as const;
  }) as [Point, Point];
  return (Math.atan2(right[1] - left[1], right[0] - left[0]) * 180) / Math.PI;
}

export function movedPoints(points: Points, move: (x: number, y: number) => Point, scale = 1): Points {
  const values = new Float32Array(points.values.length);
  for (let k = 0; k < values.length; k += points.dimensions) {
    const [x, y] = move(points.values[k]!, points.values[k + 1]!);
    values[k] = x;
    values[k + 1] = y;
    if (points.dimensions === 3) values[k + 2] = points.values[k + 2]! * scale;
  }
  return { ...points, values };
}

/** A detection with every position moved by a scale and an offset. */
export function movedDetection(found: Detection, scale: number, x: number, y: number): Detection {
  const [left, top, right, bottom] = found.box;
  return {
    box: [left * scale + x, top * scale + y, right * scale + x, bottom * scale + y],
    score: found.score,
    points: found.points && movedPoints(found.points, (u, v) => [u * scale + x, v * scale + y], scale),
  };
}
