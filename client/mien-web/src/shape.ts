/** The shape of a face: points that move little with the expression, compared apart from the pose. */

import { RIGID } from "./constants";
import type { Points } from "./faces";
import { determinant, multiply, svd, transpose, type Matrix3 } from "./matrix";

/** x, y, z of each rigid point, centered, of unit size. */
export type Shape = Float64Array;

export function faceShape(points: Points | null): Shape | null {
  if (points?.scheme !== "mesh468" || points.dimensions !== 3) return null;
  const shape = new Float64Array(3 * RIGID.length);
  for (let axis = 0; axis < 3; axis++) {
    let middle = 0;
    for (const index of RIGID) middle += points.values[3 * index + axis]! / RIGID.length;
    RIGID.forEach((index, k) => {
      shape[3 * k + axis] = points.values[3 * index + axis]! - middle;
    });
  }
  return normalized(shape);
}

/** Partial Procrustes distance (Dryden and Mardia 1998), in [0, about 1]. */
export function shapeDistance(a: Shape, b: Shape): number {
  const product = correlation(a, b);
  const [first, second, third] = svd(product).values;
  const total = first + second + (determinant(product) < 0 ? -third : third);
  return Math.sqrt(Math.max(0, 2 - 2 * total));
}

/** The running mean moved toward a new shape by a weight in [0, 1]. */
export function blendShapes(mean: Shape, next: Shape, weight: number): Shape {
  const { u, v } = svd(correlation(next, mean));
  if (determinant(multiply(u, transpose(v))) < 0) for (const k of [2, 5, 8] as const) u[k] = -u[k];
  const turn = multiply(u, transpose(v));
  const mixed = mean.map((value, k) => {
    const start = 3 * Math.floor(k / 3);
    const column = k % 3;
    const turned = next[start]! * turn[column]! + next[start + 1]! * turn[3 + column]! + next[start + 2]! * turn[6 + column]!;
    return (1 - weight) * value + weight * turned;
  });
  return normalized(mixed) ?? mean;
}

function correlation(a: Shape, b: Shape): Matrix3 {
  const product: Matrix3 = [0, 0, 0, 0, 0, 0, 0, 0, 0];
  for (let k = 0; k < a.length; k += 3) {
    for (let row = 0; row < 3; row++) {
      for (let column = 0; column < 3; column++) product[3 * row + column]! += a[k + row]! * b[k + column]!;
    }
  }
  return product;
}

function normalized(shape: Shape): Shape | null {
  const size = Math.sqrt(shape.reduce((sum, value) => sum + value * value, 0));
  return size > 0 ? shape.map((value) => value / size) : null;
}
