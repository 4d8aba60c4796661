import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Analyzer } from "../mien-web/src/analyzer";
import type { FrameResult } from "../mien-web/src/documents";
import { blank, type Pixels } from "../mien-web/src/pixels";
import { FaceStream } from "../mien-web/src/stream";

// Python's results for made clips: tools/write_golden_clips.py writes them, and says what a part is.
interface Face {
  readonly track_id: number;
  readonly label: string;
  readonly box: readonly number[];
  readonly points: readonly (readonly number[])[];
  readonly probabilities: readonly number[];
}
type Part = readonly [left: number, top: number, side: number, first: number, second: number, share: number];
interface Golden {
  readonly frames: readonly (readonly Part[])[];
  readonly times_s: readonly number[];
  readonly faces: readonly (readonly Face[])[];
}

const ROOT = `${import.meta.dirname}/../..`;
const POINTS = [1, 33, 263, 61, 291];
const SIDE = 180;
const known = gunzipSync(readFileSync(`${import.meta.dirname}/golden/portraits.gz`));
let analyzer: Analyzer;

function picture(parts: readonly Part[]): Pixels {
  const image = blank(400, 240);
  image.data.fill(128);
  for (const [left, top, side, first, second, share] of parts) {
    for (let y = Math.max(0, top); y < Math.min(image.height, top + side); y++) {
      for (let x = Math.max(0, left); x < Math.min(image.width, left + side); x++) {
        const row = Math.floor(((y - top) * SIDE) / side);
        const column = Math.floor(((x - left) * SIDE) / side);
        for (let c = 0; c < 3; c++) {
          const [a, b] = [first, second].map((k) => known[((k * SIDE + row) * SIDE + column) * 3 + c]!) as [number, number];
          image.data[4 * (y * image.width + x) + c] = (a * (256 - share) + b * share) >> 8;
        }
      }
    }
  }
  return image;
}

beforeAll(async () => {
  // Node reads no files by fetch.
  vi.stubGlobal("fetch", async (url: URL | string) => new Response(readFileSync(new URL(url))));
  const runtime = `file://${ROOT}/client/node_modules/onnxruntime-web/dist/`;
  analyzer = await Analyzer.create({ assets: `file://${ROOT}/src/mien/models/`, model: "quick", runtime, threads: 1 });
}, 120_000);

afterAll(() => {
  vi.unstubAllGlobals();
});

test.each(["smile", "zoom", "two", "cut", "three"])("the clip %s is seen as in Python", async (name) => {
  const golden = JSON.parse(readFileSync(`${import.meta.dirname}/golden/${name}.json`, "utf-8")) as Golden;
  const stream = new FaceStream(analyzer, { landmarks: true });
  const seen: FrameResult[] = [];
  for (const [k, parts] of golden.frames.entries()) seen.push(await stream.update(picture(parts), golden.times_s[k]!));

  const tracks = (faces: readonly { track_id: number | null; label: string }[]) => faces.map((face) => [face.track_id, face.label]);
  const same = seen.filter((result, k) => {
    const found = result.faces.map((face) => ({ track_id: face.track_id, label: face.expression?.label ?? "" }));
    return JSON.stringify(tracks(found)) === JSON.stringify(tracks(golden.faces[k]!));
  });
  expect(same.length / seen.length).toBeGreaterThanOrEqual(0.99);
  expect(golden.faces.flat().length).toBeGreaterThan(30);
  const apart = (a: readonly number[], b: readonly number[]) => Math.max(...a.map((value, at) => Math.abs(value - b[at]!)));
  const shares: number[] = [];
  for (const [k, result] of seen.entries()) {
    if (result.faces.length !== golden.faces[k]!.length) continue;
    result.faces.forEach((face, n) => {
      const expected = golden.faces[k]![n]!;
      const { x_min, y_min, x_max, y_max } = face.box;
      expect(apart([x_min, y_min, x_max, y_max], expected.box)).toBeLessThan(1);
      const points = POINTS.map((point) => face.landmarks!.points![point]!);
      points.forEach((point, at) => expect(apart(point.slice(0, 2), expected.points[at]!)).toBeLessThan(0.5));
      shares.push(apart(Object.values(face.expression!.probabilities), expected.probabilities));
    });
  }
  // Sums of a network differ in their last bits, which the steps of its 8-bit layers may amplify.
  shares.sort((a, b) => a - b);
  expect(shares[shares.length >> 1]).toBeLessThan(0.01);
  expect(shares.at(-1)).toBeLessThan(0.03);
}, 120_000);
