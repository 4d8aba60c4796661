/** A second look at the detections of a still, as in mien's Python module `detection/verifier`. */

import { VERIFIER } from "./constants";
import { sigmoid } from "./detector";
import type { Detection, Points } from "./faces";
import { squareToFrame } from "./geometry";
import { regionOfDetection, regionOfPoints } from "./mesh";
import type { Network } from "./network";
import { clamp, lit, sharpness, toGray, toInput, warp, type Pixels } from "./pixels";
import { numberOf } from "./specs";

export interface Verdict {
  /** Probability in [0, 1] that there is a face. */
  readonly presence: number;
  /** `"mouth"`, `"eyes"`: what something hides. */
  readonly covered: readonly string[];
}

export class FaceVerifier {
  readonly name: string;
  private readonly scale: number;
  private readonly weights: readonly number[];

  constructor(private readonly network: Network) {
    this.name = network.spec.name;
    this.scale = numberOf(network.spec, "roi_scale");
    this.weights = network.spec.parameters.evidence_weights as readonly number[];
  }

  async verify(image: Pixels, detection: Detection, points: Points): Promise<Verdict> {
    const { spec } = this.network;
    const [size] = spec.input.size_wh;
    const presence = points.presence ?? 0;
    const { center, side, angleDeg } =
      presence >= VERIFIER.TRUSTED_PRESENCE
        ? regionOfPoints(points, this.scale)
        : regionOfDetection(detection, this.scale);
    const crop = lit(warp(image, squareToFrame(center, side, angleDeg, size), size, size));
    const [face, ...covered] = (await this.network.run(toInput([crop], spec.input), 1))[spec.outputs[0]!]!;
    const least = Math.max(...covered) > 0 ? leastOfCover(sharpness(toGray(crop), size)) : 0;
    const evidence = logit(detection.score) * this.weights[0]! + logit(presence) * this.weights[1]!;
    return {
      presence: sigmoid(face! + evidence),
      covered: VERIFIER.PARTS.filter((_, k) => covered[k]! > least),
    };
  }
}

/** The logit that a cover must exceed, by the sharpness of the face. */
function leastOfCover(seen: number): number {
  const { BLURRED_LOGIT, BLURRED_SHARPNESS, CLEAR_SHARPNESS } = VERIFIER;
  return BLURRED_LOGIT * clamp((CLEAR_SHARPNESS - seen) / (CLEAR_SHARPNESS - BLURRED_SHARPNESS), 0, 1);
}

function logit(share: number): number {
  const inside = clamp(share, 1e-9, 1 - 1e-9);
  return clamp(Math.log(inside / (1 - inside)), -VERIFIER.MAX_EVIDENCE, VERIFIER.MAX_EVIDENCE);
}
