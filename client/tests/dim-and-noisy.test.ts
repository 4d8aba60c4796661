import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

import { expect, it } from "vitest";

import { withoutNoise } from "../mien-web/src/noise";
import { lit, type Pixels } from "../mien-web/src/pixels";

// Crops and what Python leaves of them: tools/write_golden_clips.py.
const SIDE = 96;
const parts = gunzipSync(readFileSync(`${import.meta.dirname}/golden/dim-and-noisy.gz`));
const plane = (k: number): Uint8Array => parts.subarray(k * SIDE * SIDE, (k + 1) * SIDE * SIDE);

function pixels(gray: Uint8Array): Pixels {
  const data = new Uint8ClampedArray(4 * gray.length).fill(255);
  gray.forEach((value, k) => data.fill(value, 4 * k, 4 * k + 3));
  return { data, width: SIDE, height: SIDE };
}

it("leaves a clean crop as it is", () => {
  const crop = pixels(plane(0));
  expect(withoutNoise(crop)).toBe(crop);
});

it.each([["noisy", 1], ["dim", 2]] as const)("removes the noise of a %s crop as Python does", (_, which) => {
  const found = withoutNoise(pixels(plane(2 * which))).data;
  const expected = plane(2 * which + 1);
  const differences = Array.from(expected, (value, k) => Math.abs(value - found[4 * k]!));
  expect(expected).not.toEqual(plane(2 * which));
  expect(Math.max(...differences)).toBeLessThanOrEqual(3);
  expect(differences.reduce((sum, value) => sum + value) / differences.length).toBeLessThan(0.6);
});

it("gives a dark picture more light as Python does", () => {
  const found = lit(pixels(plane(6))).data;
  expect(plane(7)).not.toEqual(plane(6));
  expect(Array.from(plane(7), (_, k) => found[4 * k])).toEqual(Array.from(plane(7)));
  const bright = pixels(plane(0));
  expect(lit(bright)).toBe(bright);
});
