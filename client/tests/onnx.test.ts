import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web/wasm";
import { expect, test } from "vitest";
import { prepared } from "../mien-web/src/onnx";

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

const bytesOf = (name: string) => new Uint8Array(readFileSync(new URL(`../../src/mien/models/${name}.onnx`, import.meta.url)));

async function answers(model: Uint8Array, level: "all" | "disabled", shape: readonly number[]): Promise<Record<string, number[]>> {
  const session = await ort.InferenceSession.create(model, { graphOptimizationLevel: level });
  // Not the same in all channels, and in the range of pixels.
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, k) => 127 + 100 * Math.sin(k / 7) * Math.cos(k / 1000));
  const found = await session.run({ [session.inputNames[0]!]: new ort.Tensor("float32", values, [...shape]) });
  await session.release();
  return Object.fromEntries(Object.entries(found).map(([name, { data }]) => [name, [...(data as Float32Array)]]));
}

test.each([
  ["quick", [2, 1, 96, 96]],
  ["verifier", [1, 1, 64, 64]],
  ["blazeface-short", [1, 3, 128, 128]],
])("%s answers as before where it is opened without the runtime's optimizer", async (name, shape) => {
  const { model, isPlain } = prepared(bytesOf(name));
  expect(isPlain).toBe(true);
  const now = await answers(model, "disabled", shape);
  for (const [output, before] of Object.entries(await answers(bytesOf(name), "all", shape))) {
    const scale = Math.max(...before.map(Math.abs));
    expect(now[output]).toHaveLength(before.length);
    expect(Math.max(...before.map((value, k) => Math.abs(value - now[output]![k]!)))).toBeLessThan(1e-5 * scale);
  }
}, 60_000);

test("what has other operators, or is no network, is left to the runtime", () => {
  expect(prepared(bytesOf("face-blendshapes")).isPlain).toBe(false);
  const cut = bytesOf("quick").subarray(0, 1_000_000);
  const { model, isPlain } = prepared(cut);
  expect(model).toBe(cut);
  expect(isPlain).toBe(false);
});
