import { expect, test } from "vitest";
import { cameraMotion, isFound } from "../mien-web/src/blocks";
import { blank, type Pixels } from "../mien-web/src/pixels";
import { SamplingInterval } from "../mien-web/src/sampling";
import { Tracker, type Observation } from "../mien-web/src/tracker";

// As tests/tracking/test_returning.py, test_neighbors.py and test_blocks.py.
function noise(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}

function texture(seed: number, wide: number, high: number): Pixels {
  const next = noise(seed);
  const image = blank(wide, high);
  for (let k = 0; k < image.data.length; k += 4) image.data.fill(255 * next(), k, k + 3);
  return image;
}

/** Puts a picture into another one, as far as it is inside. */
function put(image: Pixels, other: Pixels, left: number, top: number): void {
  for (let y = 0; y < other.height; y++) {
    for (let x = 0; x < other.width; x++) {
      if (left + x < 0 || left + x >= image.width || top + y < 0 || top + y >= image.height) continue;
      const from = 4 * (y * other.width + x);
      image.data.set(other.data.subarray(from, from + 4), 4 * ((top + y) * image.width + left + x));
    }
  }
}

const FACES = [1, 2].map((seed) => texture(seed, 100, 100));
const SHAPE = (() => {
  const next = noise(3);
  return Float32Array.from({ length: 3 * 468 }, () => 25 * (next() - 0.5));
})();

function face(x: number, followed: readonly number[] = []): Observation {
  const values = SHAPE.map((value, k) => value + [x, 100, 0][k % 3]!);
  values.set([x - 25, 90, 0], 3 * 33);
  values.set([x + 25, 90, 0], 3 * 263);
  const points = { values, dimensions: 3, scheme: "mesh468", presence: 1 } as const;
  return { detection: { box: [x - 50, 50, x + 50, 150], score: 0.9, points: null }, points, followed: new Set(followed) };
}

function picture(parts: readonly (readonly [x: number, pixels: number])[]): Pixels {
  const image = blank(800, 200);
  for (const [x, pixels] of parts) put(image, FACES[pixels]!, Math.trunc(x) - 50, 50);
  return image;
}

function follow(frames: readonly { s: number; seen: Observation[]; shown: Pixels }[]): (number | null)[][] {
  const tracker = new Tracker(2, 0, new SamplingInterval());
  return frames.map(({ s, seen, shown }) => tracker.update(seen, s, shown)[0].map(({ trackId }) => trackId));
}

test.each([[0, 1], [1, 2]])("who returns where a face left the picture is known by the look: %i", (pixels, id) => {
  const at = (s: number, x: number, who: number) => ({ s, seen: [face(x)], shown: picture([[x, who]]) });
  const out = Array.from({ length: 13 }, (_, n) => at(n / 25, 500 + 24 * n, 0));
  const back = Array.from({ length: 12 }, (_, n) => at(1.5 + n / 25, 790 - 20 * n, pixels));
  expect(follow([...out, ...back]).at(-1)).toEqual([id]);
});

test.each([[[1]], [[1, 2]]])("faces keep their tracks when they pass each other, and one hides tracks %j", (hidden) => {
  const frames = Array.from({ length: 60 }, (_, n) => {
    const [behind, front] = [100 + 10 * n, 700 - 10 * n];
    const seen = Math.abs(behind - front) < 70 ? [face(front, hidden)] : [face(behind), face(front)];
    return { s: n / 25, seen, shown: picture([[behind, 0], [front, 1]]) };
  });
  const found = follow(frames);
  expect(found[19]).toEqual([1, 2]);
  expect(found.at(-1)).toEqual([1, 2]);
});

test("the camera's motion is that of the background, and another scene has none", () => {
  // Tiles that are large enough for the small picture.
  const world = blank(800, 500);
  const next = noise(4);
  for (let y = 0; y < 500; y += 30) {
    for (let x = 0; x < 800; x += 30) {
      const tile = blank(30, 30);
      tile.data.fill(255 * next());
      put(world, tile, x, y);
    }
  }
  const view = (left: number, top: number) => {
    const image = blank(640, 360);
    put(image, world, -left, -top);
    return image;
  };
  const [right, down] = cameraMotion(view(80, 70), view(20, 40), [])!;
  expect(right).toBeCloseTo(60, -1);
  expect(down).toBeCloseTo(30, -1);
  expect(cameraMotion(view(80, 70), texture(5, 640, 360), [])).toBeNull();
  // A part of the picture that leaves it is found by what is left of it.
  expect(isFound(view(80, 70), view(20, 70), [500, 100, 620, 220], [560, 100, 680, 220])).toBe(true);
  expect(isFound(view(80, 70), texture(5, 640, 360), [500, 100, 620, 220], [560, 100, 680, 220])).toBe(false);
});
