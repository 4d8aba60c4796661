/** BlazeFace: a single-shot face detector with six landmarks a face (Bazarevsky et al. 2019). */

import type { Detection } from "./faces";
import { iou, roundHalfEven, type Corners } from "./geometry";
import type { Network } from "./network";
import { letterbox, lit, toInput, type Pixels } from "./pixels";
import { numberOf } from "./specs";

const MERGE_IOU = 0.3;
const POINTS = 6;
const MAX_WEAK = 200;

interface Frame {
  readonly size_wh: readonly [number, number];
  /** x and y of each anchor in input pixels. */
  readonly anchors: Float32Array;
}

interface Candidate {
  readonly score: number;
  /** x and y of the corners of the box, then of the six points, in input pixels. */
  readonly values: Float32Array;
}

export class BlazeFace {
  readonly name: string;
  private readonly frames: readonly Frame[];
  private readonly unit: number;

  constructor(private readonly network: Network) {
    const { spec } = network;
    this.name = spec.name;
    const [full] = spec.input.size_wh;
    this.unit = full / numberOf(spec, "scale");
    const sides = (spec.parameters.sides ?? [full]) as number[];
    const wide = sides.map((side) => [full, side] as const);
    const high = sides.filter((side) => side < full).map((side) => [side, full] as const);
    const grids = spec.parameters.anchor_grids as [number, number, number][];
    this.frames = [...wide, ...high].map((size_wh) => ({ size_wh, anchors: anchorsOf(grids, full, size_wh) }));
  }

  /**
   * Faces of an image, best score first.
   *
   * @param weakScore below minScore: faces down to this score are added where they overlap no other
   */
  async detect(image: Pixels, minScore: number, weakScore?: number): Promise<Detection[]> {
    const frame = this.frameFor(image);
    const [wide, high] = frame.size_wh;
    const [framed, [scaleX, , left, , scaleY, top]] = letterbox(image, wide, high);
    const outputs = await this.network.run(toInput([lit(framed)], this.network.spec.input), 1, frame.size_wh);
    const offsets = outputs[this.network.spec.outputs[0]!]!;
    const logits = outputs[this.network.spec.outputs[1]!]!;
    const least = logit(weakScore ?? minScore);
    const strong: Candidate[] = [];
    const weak: Candidate[] = [];
    for (let k = 0; k < logits.length; k++) {
      if (logits[k]! < least) continue;
      const candidate = { score: sigmoid(logits[k]!), values: this.decoded(offsets, k, frame.anchors) };
      (logits[k]! >= logit(minScore) ? strong : weak).push(candidate);
    }
    const merged = mergeWeighted(strong);
    const found = [...merged];
    for (const candidate of mergeWeighted(weak.sort((a, b) => b.score - a.score).slice(0, MAX_WEAK))) {
      if (merged.every((other) => iou(cornersOf(candidate), cornersOf(other)) <= MERGE_IOU)) found.push(candidate);
    }
    return found
      .map(({ score, values }) => {
        const inImage = values.map((value, k) => (k % 2 ? (value - top) / scaleY : (value - left) / scaleX));
        const points = { scheme: "blazeface6", values: inImage.slice(4), dimensions: 2, presence: null } as const;
        return { box: cornersOf({ score, values: inImage }), score, points };
      })
      .filter(({ box }) => box[2] > box[0] && box[3] > box[1]);
  }

  /** The input size that holds the whole image with the least padding. */
  private frameFor(image: Pixels): Frame {
    const full = Math.max(...this.frames.map(({ size_wh }) => size_wh[0]));
    const scale = full / Math.max(image.width, image.height);
    const [wide, high] = [roundHalfEven(image.width * scale), roundHalfEven(image.height * scale)];
    return this.frames
      .filter(({ size_wh }) => size_wh[0] >= wide && size_wh[1] >= high)
      .reduce((best, frame) => (frame.anchors.length < best.anchors.length ? frame : best));
  }

  private decoded(offsets: Float32Array, anchor: number, anchors: Float32Array): Float32Array {
    const values = new Float32Array(4 + 2 * POINTS);
    const start = anchor * (4 + 2 * POINTS);
    for (let axis = 0; axis < 2; axis++) {
      const origin = anchors[2 * anchor + axis]!;
      const middle = offsets[start + axis]! * this.unit + origin;
      const half = (offsets[start + 2 + axis]! * this.unit) / 2;
      values[axis] = middle - half;
      values[2 + axis] = middle + half;
      for (let k = 0; k < POINTS; k++) {
        values[4 + 2 * k + axis] = offsets[start + 4 + 2 * k + axis]! * this.unit + origin;
      }
    }
    return values;
  }
}

function anchorsOf(
  grids: readonly (readonly [number, number, number])[],
  full: number,
  [wide, high]: readonly [number, number],
): Float32Array {
  const positions: number[] = [];
  for (const [gridColumns, gridRows, perCell] of grids) {
    const columns = Math.floor((gridColumns * wide) / full);
    const rows = Math.floor((gridRows * high) / full);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        for (let n = 0; n < perCell; n++) positions.push(((x + 0.5) / columns) * wide, ((y + 0.5) / rows) * high);
      }
    }
  }
  return Float32Array.from(positions);
}

/** Non-maximum suppression that averages the suppressed boxes into the best one, by score. */
function mergeWeighted(candidates: readonly Candidate[]): Candidate[] {
  let waiting = [...candidates].sort((a, b) => b.score - a.score);
  const merged: Candidate[] = [];
  while (waiting.length) {
    const best = waiting[0]!;
    const group = waiting.filter((other) => other === best || iou(cornersOf(best), cornersOf(other)) > MERGE_IOU);
    const total = group.reduce((sum, { score }) => sum + score, 0);
    const values = best.values.map((_, k) => group.reduce((sum, each) => sum + (each.score / total) * each.values[k]!, 0));
    merged.push({ score: best.score, values });
    waiting = waiting.filter((other) => !group.includes(other));
  }
  return merged;
}

function cornersOf({ values }: Candidate): Corners {
  return [values[0]!, values[1]!, values[2]!, values[3]!];
}

function logit(probability: number): number {
  const bounded = Math.min(Math.max(probability, 1e-9), 1 - 1e-9);
  return Math.log(bounded / (1 - bounded));
}

export function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-Math.max(-80, Math.min(80, value))));
}
