/** Boxes and similarity transforms, as in mien's Python module `geometry`. */

/** The rows (a, b, x) and (c, d, y) of a 2 x 3 matrix. */
export type Transform = readonly [number, number, number, number, number, number];
export type Point = readonly [number, number];
/** x_min, y_min, x_max, y_max in pixels; the maxima are exclusive. */
export type Corners = readonly [number, number, number, number];

export const RADIANS = Math.PI / 180;

/** Rounds halves to even numbers, as Python does. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.floor(value + 0.5);
  return floor % 2 === 0 ? floor : floor + 1;
}

export function width([x, , right]: Corners): number {
  return right - x;
}

export function height([, y, , bottom]: Corners): number {
  return bottom - y;
}

export function center([x, y, right, bottom]: Corners): Point {
  return [(x + right) / 2, (y + bottom) / 2];
}

export function area(box: Corners): number {
  return width(box) * height(box);
}

export function intersection(a: Corners, b: Corners): number {
  const wide = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const high = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return Math.max(0, wide) * Math.max(0, high);
}

export function iou(a: Corners, b: Corners): number {
  const overlap = intersection(a, b);
  const union = area(a) + area(b) - overlap;
  return union > 0 ? overlap / union : 0;
}

/** Scales and turns around a center (clockwise, as y points down), then moves. */
export function similarity(
  scale = 1,
  angleDeg = 0,
  [moveX, moveY]: Point = [0, 0],
  [x, y]: Point = [0, 0],
): Transform {
  const cos = scale * Math.cos(angleDeg * RADIANS);
  const sin = scale * Math.sin(angleDeg * RADIANS);
  return [cos, -sin, x + moveX - cos * x + sin * y, sin, cos, y + moveY - sin * x - cos * y];
}

/** The transform that applies `inner`, then `outer`. */
export function compose(outer: Transform, inner: Transform): Transform {
  const [a, b, x, c, d, y] = outer;
  const [p, q, u, r, s, v] = inner;
  return [
    a * p + b * r, a * q + b * s, a * u + b * v + x,
    c * p + d * r, c * q + d * s, c * u + d * v + y,
  ];
}

export function invert([a, b, x, c, d, y]: Transform): Transform {
  const determinant = a * d - b * c;
  if (Math.abs(determinant) < 1e-12) throw new RangeError("expected an invertible transform, got a singular one");
  const [p, q, r, s] = [d / determinant, -b / determinant, -c / determinant, a / determinant];
  return [p, q, -p * x - q * y, r, s, -r * x - s * y];
}

export function apply([a, b, x, c, d, y]: Transform, [px, py]: Point): Point {
  return [a * px + b * py + x, c * px + d * py + y];
}

/** The scale factor of lengths. */
export function scaleOf([a, b, , c, d]: Transform): number {
  return Math.sqrt(Math.abs(a * d - b * c));
}

/** From a turned square of the image to an upright square of `size` pixels. */
export function squareToFrame(middle: Point, side: number, angleDeg: number, size: number): Transform {
  const move: Point = [size / 2 - middle[0], size / 2 - middle[1]];
  return similarity(size / side, -angleDeg, move, middle);
}

/**
 * The least-squares similarity without reflection from source to target points (Umeyama 1991).
 *
 * @throws RangeError all source points are equal
 */
export function estimateSimilarity(source: readonly Point[], target: readonly Point[]): Transform {
  const [srcX, srcY] = mean(source);
  const [dstX, dstY] = mean(target);
  let [spread, along, across] = [0, 0, 0];
  source.forEach(([x, y], k) => {
    const [u, v] = target[k] ?? [0, 0];
    const [dx, dy, du, dv] = [x - srcX, y - srcY, u - dstX, v - dstY];
    spread += dx * dx + dy * dy;
    along += dx * du + dy * dv;
    across += dx * dv - dy * du;
  });
  if (spread < 1e-12) throw new RangeError("expected at least two distinct points, got one point repeated");
  const [cos, sin] = [along / spread, across / spread];
  return [cos, -sin, dstX - cos * srcX + sin * srcY, sin, cos, dstY - sin * srcX - cos * srcY];
}

function mean(points: readonly Point[]): Point {
  let [x, y] = [0, 0];
  for (const point of points) {
    x += point[0];
    y += point[1];
  }
  return [x / points.length, y / points.length];
}
