import { expect, test } from "vitest";
import { assign } from "../mien-web/src/assignment";
import { apply, compose, estimateSimilarity, invert, iou, roundHalfEven, similarity, type Point } from "../mien-web/src/geometry";
import { determinant, multiply, nearestRotation, svd, transpose, type Matrix3 } from "../mien-web/src/matrix";
import { letterbox, turned, warp, type Pixels } from "../mien-web/src/pixels";
import { ExpressionSmoother } from "../mien-web/src/smoothing";
import { tiles } from "../mien-web/src/views";

function picture(width: number, height: number, level: (x: number, y: number) => number): Pixels {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data.fill(level(x, y), 4 * (y * width + x), 4 * (y * width + x) + 3);
  }
  return { data, width, height };
}

test("a similarity is found from points, and undone by its inverse", () => {
  const true_ = similarity(1.7, 30, [5, -3], [10, 20]);
  const source: Point[] = [[0, 0], [10, 0], [3, 8]];
  const found = estimateSimilarity(source, source.map((point) => apply(true_, point)));
  found.forEach((value, k) => expect(value).toBeCloseTo(true_[k]!, 9));
  const [x, y] = apply(compose(invert(found), true_), [4, 7]);
  expect(x).toBeCloseTo(4, 9);
  expect(y).toBeCloseTo(7, 9);
  expect(() => estimateSimilarity([[1, 1], [1, 1]], [[0, 0], [1, 1]])).toThrow("at least two distinct points");
});

test("halves are rounded as in Python", () => {
  expect([0.5, 1.5, 2.5, -0.5, 2.4].map(roundHalfEven)).toEqual([0, 2, 2, 0, 2]);
});

test("boxes overlap by their intersection over union", () => {
  expect(iou([0, 0, 2, 2], [1, 0, 3, 2])).toBeCloseTo(1 / 3);
  expect(iou([0, 0, 1, 1], [2, 2, 3, 3])).toBe(0);
});

test("the nearest rotation of a rotated and scaled frame is the rotation", () => {
  const [c, s] = [Math.cos(0.4), Math.sin(0.4)];
  const rotation: Matrix3 = [c, -s, 0, s, c, 0, 0, 0, 1];
  const stretched = multiply(rotation, [3, 0, 0, 0, 2, 0, 0, 0, 0.5]);
  nearestRotation(stretched).forEach((value, k) => expect(value).toBeCloseTo(rotation[k]!, 9));
  const { u, values, v } = svd(stretched);
  expect(values.map((value) => Number(value.toFixed(9)))).toEqual([3, 2, 0.5]);
  const again = multiply(multiply(u, [values[0], 0, 0, 0, values[1], 0, 0, 0, values[2]]), transpose(v));
  again.forEach((value, k) => expect(value).toBeCloseTo(stretched[k]!, 9));
  // A reflection is no rotation.
  expect(determinant(nearestRotation([1, 0, 0, 0, 1, 0, 0, 0, -1]))).toBeCloseTo(1);
});

test("assignment has the least total cost and leaves expensive pairs alone", () => {
  expect(assign([[1, 2], [1.5, 9]], 3)).toEqual(new Map([[0, 1], [1, 0]]));
  expect(assign([[Infinity, 5], [0.5, Infinity]], 3)).toEqual(new Map([[1, 0]]));
  expect(assign([], 3)).toEqual(new Map());
});

test("a warp by half a pixel is the mean of neighbors, and edges are repeated or black", () => {
  const ramp = picture(8, 4, (x) => 10 * x);
  const moved = warp(ramp, [1, 0, 0.5, 0, 1, 0], 8, 4);
  expect([0, 1, 2].map((x) => moved.data[4 * x])).toEqual([0, 5, 15]);
  const white = picture(4, 4, () => 200);
  expect(warp(white, [1, 0, 10, 0, 1, 10], 4, 4, false).data[0]).toBe(0);
  expect(warp(white, [1, 0, 10, 0, 1, 10], 4, 4).data[0]).toBe(200);
});

test("a letterbox keeps the aspect ratio and says where the image is", () => {
  const [framed, transform] = letterbox(picture(80, 40, () => 90), 20, 20);
  expect([framed.data[0], framed.data[4 * (10 * 20 + 10)]]).toEqual([0, 90]);
  expect(apply(transform, [80, 40])).toEqual([20, 15]);
});

test("quarters turn anticlockwise", () => {
  const corner = picture(3, 2, (x, y) => (x === 2 && y === 0 ? 255 : 0));
  const once = turned(corner, 1);
  expect([once.width, once.height, once.data[0]]).toEqual([2, 3, 255]);
  const back = turned(turned(turned(once, 1), 1), 1);
  expect(Array.from(back.data.filter((_, k) => k % 4 < 3))).toEqual(Array.from(corner.data.filter((_, k) => k % 4 < 3)));
});

test("large images have tiles, small ones none", () => {
  expect(tiles(640, 480)).toEqual([]);
  expect(tiles(1920, 1080).length).toBe(15);
});

test("a label is held until another one leads for long enough", () => {
  const smoother = new ExpressionSmoother(0);
  const scores = (happiness: number) =>
    ({ label: "neutral", uncertain: false, probabilities: { neutral: 1 - happiness, happiness } }) as const;
  const labels: string[] = [];
  for (let k = 0; k < 30; k++) {
    const [expression] = smoother.update(scores(k === 10 || k >= 20 ? 0.95 : 0.1), 1, k / 30);
    labels.push(expression.label);
  }
  expect(labels.slice(0, 20)).toEqual(Array(20).fill("neutral"));
  expect(labels.at(-1)).toBe("happiness");
});
