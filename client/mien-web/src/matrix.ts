/** 3 x 3 matrices in rows. */

export type Matrix3 = [number, number, number, number, number, number, number, number, number];

export interface Svd {
  /** Columns are the left singular vectors. */
  readonly u: Matrix3;
  readonly values: readonly [number, number, number];
  /** Columns are the right singular vectors. */
  readonly v: Matrix3;
}

export function multiply(a: Matrix3, b: Matrix3): Matrix3 {
  return Array.from({ length: 9 }, (_, k) => {
    const [row, column] = [3 * Math.floor(k / 3), k % 3];
    return a[row]! * b[column]! + a[row + 1]! * b[3 + column]! + a[row + 2]! * b[6 + column]!;
  }) as Matrix3;
}

export function transpose([a, b, c, d, e, f, g, h, i]: Matrix3): Matrix3 {
  return [a, d, g, b, e, h, c, f, i];
}

export function determinant([a, b, c, d, e, f, g, h, i]: Matrix3): number {
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}

/** Singular values in descending order, by Jacobi rotations of the transposed product. */
export function svd(matrix: Matrix3): Svd {
  const square = multiply(transpose(matrix), matrix);
  const v: Matrix3 = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  for (let sweep = 0; sweep < 30; sweep++) {
    let rest = 0;
    for (const [p, q] of [[0, 1], [0, 2], [1, 2]] as const) {
      const off = square[3 * p + q]!;
      rest += Math.abs(off);
      if (Math.abs(off) < 1e-300) continue;
      const angle = Math.atan2(2 * off, square[3 * p + p]! - square[3 * q + q]!) / 2;
      rotate(square, v, p, q, Math.cos(angle), Math.sin(angle));
    }
    if (rest < 1e-18 * Math.abs(square[0]! + square[4]! + square[8]!)) break;
  }
  const order = [0, 1, 2].sort((a, b) => square[4 * b]! - square[4 * a]!);
  const values = order.map((k) => Math.sqrt(Math.max(0, square[4 * k]!))) as [number, number, number];
  const sorted = columns(order.map((k) => [v[k]!, v[3 + k]!, v[6 + k]!]));
  return { u: leftVectors(matrix, sorted, values), values, v: sorted };
}

function rotate(square: Matrix3, v: Matrix3, p: number, q: number, cos: number, sin: number): void {
  for (let k = 0; k < 3; k++) {
    const [a, b] = [square[3 * k + p]!, square[3 * k + q]!];
    square[3 * k + p] = cos * a + sin * b;
    square[3 * k + q] = cos * b - sin * a;
  }
  for (let k = 0; k < 3; k++) {
    const [a, b] = [square[3 * p + k]!, square[3 * q + k]!];
    square[3 * p + k] = cos * a + sin * b;
    square[3 * q + k] = cos * b - sin * a;
  }
  for (let k = 0; k < 3; k++) {
    const [a, b] = [v[3 * k + p]!, v[3 * k + q]!];
    v[3 * k + p] = cos * a + sin * b;
    v[3 * k + q] = cos * b - sin * a;
  }
}

function leftVectors(matrix: Matrix3, v: Matrix3, values: readonly [number, number, number]): Matrix3 {
  const product = multiply(matrix, v);
  const column = (k: number) => [product[k]!, product[3 + k]!, product[6 + k]!] as const;
  const first = unit(column(0), [1, 0, 0]);
  const second = values[1] > 1e-12 * values[0] ? unit(column(1), [0, 1, 0]) : orthogonal(first);
  const third = cross(first, second);
  // The third may point either way: with the matrix where that is defined.
  const along = column(2).reduce((sum, value, k) => sum + value * third[k]!, 0);
  return columns([first, second, along < 0 ? third.map((value) => -value) : third]);
}

function columns([a, b, c]: readonly (readonly number[])[]): Matrix3 {
  return [a![0]!, b![0]!, c![0]!, a![1]!, b![1]!, c![1]!, a![2]!, b![2]!, c![2]!];
}

function unit(vector: readonly number[], otherwise: readonly number[]): readonly number[] {
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((value) => value / length) : otherwise;
}

function cross([a, b, c]: readonly number[], [p, q, r]: readonly number[]): number[] {
  return [b! * r! - c! * q!, c! * p! - a! * r!, a! * q! - b! * p!];
}

function orthogonal(vector: readonly number[]): readonly number[] {
  const axis = Math.abs(vector[0]!) < 0.9 ? [1, 0, 0] : [0, 1, 0];
  return unit(cross(vector, axis), [0, 0, 1]);
}

/** The rotation nearest to a matrix (Kabsch 1976). */
export function nearestRotation(matrix: Matrix3): Matrix3 {
  const { u, v } = svd(matrix);
  if (determinant(multiply(u, transpose(v))) < 0) for (const k of [2, 5, 8] as const) u[k] = -u[k];
  return multiply(u, transpose(v));
}
