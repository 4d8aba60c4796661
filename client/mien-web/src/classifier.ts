/** The third step: an aligned crop and the probabilities of its apparent expression. */

import { NOISE } from "./constants";
import type { Expression } from "./documents";
import { pointAt, type Points } from "./faces";
import { center, estimateSimilarity, height, squareToFrame, width, type Corners, type Transform } from "./geometry";
import type { Network } from "./network";
import { withoutNoise } from "./noise";
import { toInput, warp, type Pixels } from "./pixels";
import { resolvePrior, scoresOf, type Prior } from "./priors";
import type { ModelSpec } from "./specs";

// Larger batches are not faster, and memory would grow with the number of faces.
const MAX_BATCH = 32;

export class Classifier {
  readonly name: string;
  readonly prior: string;
  private readonly logRatio: readonly number[] | null;

  constructor(
    private readonly network: Network,
    prior: Prior = "default",
  ) {
    this.name = network.spec.name;
    [this.prior, this.logRatio] = resolvePrior(prior, network.spec);
  }

  get spec(): ModelSpec {
    return this.network.spec;
  }

  /** The crop of a face as the network expects it. */
  align(image: Pixels, box: Corners, points: Points | null): Pixels {
    const [wide, high] = this.spec.input.size_wh;
    return warp(image, this.transform(box, points), wide, high);
  }

  private get seesNoise(): boolean {
    const { color, size_wh } = this.spec.input;
    return color === "gray" && Math.min(...size_wh) >= NOISE.MIN_SIDE_PX;
  }

  private transform(box: Corners, points: Points | null): Transform {
    const { alignment, input } = this.spec;
    const [wide, high] = input.size_wh;
    if (points && alignment?.scheme === points.scheme) {
      const stable = alignment.indices.map((index) => pointAt(points, index));
      return estimateSimilarity(stable, alignment.points.map(([x, y]) => [x * wide, y * high] as const));
    }
    return squareToFrame(center(box), Math.max(width(box), height(box)), 0, wide);
  }

  async classify(crops: readonly Pixels[]): Promise<Expression[]> {
    const results: Expression[] = [];
    const [output] = this.spec.outputs;
    // Some models only accept one face at a time.
    const most = Number(this.spec.parameters.max_batch ?? MAX_BATCH);
    for (let start = 0; start < crops.length; start += most) {
      const batch = crops.slice(start, start + most).map((crop) => (this.seesNoise ? withoutNoise(crop) : crop));
      const input = toInput(batch, this.spec.input);
      const logits = (await this.network.run(input, batch.length, this.spec.input.size_wh, [output!]))[output!]!;
      const count = this.spec.labels.length;
      batch.forEach((_, n) => results.push(this.scores(logits.subarray(n * count, (n + 1) * count))));
    }
    return results;
  }

  private scores(logits: Float32Array): Expression {
    return scoresOf(Array.from(logits, (value, k) => value / this.spec.temperature + (this.logRatio?.[k] ?? 0)), this.spec);
  }
}
