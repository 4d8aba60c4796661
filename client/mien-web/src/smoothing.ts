/** Smoothing of landmarks and expressions: by time rather than frame count, weighted by quality. */

import { LABELS, LANDMARK_SMOOTHING } from "./constants";
import type { Expression, Label, Quality, Track } from "./documents";
import { boxOf, type Points } from "./faces";
import { height, width } from "./geometry";

const SPEED_CUTOFF_HZ = 1;
const WEIGHT_PER_REASON = 0.2;

export type State = Track["state"];

/** A low-pass filter with a cutoff that rises with speed (Casiez, Roussel and Vogel 2012). */
export class LandmarkSmoother {
  private values: Float64Array | null = null;
  private speeds = new Float64Array();
  private size = 1;
  private timestampS = 0;

  update(points: Points, timestampS: number): Points {
    const box = boxOf(points);
    const size = Math.max(width(box), height(box), 1e-6);
    this.size = this.size === 1 ? size : 0.9 * this.size + 0.1 * size;
    const elapsed = timestampS - this.timestampS;
    const next = Float64Array.from(points.values, (value) => value / this.size);
    if (this.values?.length !== next.length) {
      this.values = next;
      this.speeds = new Float64Array(next.length);
    } else if (elapsed > 0) this.filter(this.values, next, elapsed);
    this.timestampS = timestampS;
    return { ...points, values: Float32Array.from(this.values, (value) => value * this.size) };
  }

  private filter(values: Float64Array, next: Float64Array, elapsed: number): void {
    const share = lowPass(SPEED_CUTOFF_HZ, elapsed);
    for (let k = 0; k < next.length; k++) {
      const speed = (next[k]! - values[k]!) / elapsed;
      this.speeds[k]! += share * (speed - this.speeds[k]!);
      const cutoff = LANDMARK_SMOOTHING.MIN_CUTOFF_HZ + LANDMARK_SMOOTHING.BETA * Math.abs(this.speeds[k]!);
      values[k]! += lowPass(cutoff, elapsed) * (next[k]! - values[k]!);
    }
  }
}

function lowPass(cutoffHz: number, elapsedS: number): number {
  return 1 / (1 + 1 / (2 * Math.PI * cutoffHz * elapsedS));
}

/** Smooths the probabilities of one track and holds its label. */
export class ExpressionSmoother {
  private mean: number[] | null = null;
  private held: string | null = null;
  private challenger: readonly [string, number] | null = null;
  private lastS = 0;
  private readableS = -Infinity;

  constructor(private readonly uncertainBelow: number) {}

  /** @param weight how readable the face is in this frame, in [0, 1] */
  update(raw: Expression, weight: number, timestampS: number): [Expression, State] {
    const labels = Object.keys(raw.probabilities);
    const mean = this.blend(Object.values(raw.probabilities), weight, timestampS);
    const held = this.hold(labels, mean, timestampS);
    if (weight > 0.25) this.readableS = timestampS;
    let state: State = "clear";
    if (timestampS - this.readableS >= LABELS.hidden_s) state = "not visible";
    else if (Math.max(...mean) < this.uncertainBelow || this.challenger) state = "uncertain";
    const probabilities = Object.fromEntries(labels.map((label, k) => [label, mean[k]!]));
    return [{ label: held as Label, uncertain: state !== "clear", probabilities }, state];
  }

  private blend(next: number[], weight: number, timestampS: number): number[] {
    const elapsed = timestampS - this.lastS;
    this.lastS = timestampS;
    if (!this.mean || elapsed > LABELS.forget_s) {
      this.held = this.challenger = null;
      return (this.mean = next);
    }
    const share = 1 - Math.exp((-Math.max(elapsed, 0) * weight) / LABELS.time_constant_s);
    const mixed = this.mean.map((value, k) => (1 - share) * value + share * next[k]!);
    const total = mixed.reduce((sum, value) => sum + value, 0);
    return (this.mean = mixed.map((value) => value / total));
  }

  private hold(labels: readonly string[], mean: readonly number[], timestampS: number): string {
    const top = labels[mean.indexOf(Math.max(...mean))]!;
    this.held ??= top;
    const lead = mean[labels.indexOf(top)]! - mean[labels.indexOf(this.held)]!;
    if (top === this.held || lead < LABELS.lead) this.challenger = null;
    else if (this.challenger?.[0] !== top) this.challenger = [top, timestampS];
    if (this.challenger && (lead >= LABELS.strong_lead || timestampS - this.challenger[1] >= LABELS.hold_s)) {
      this.held = top;
      this.challenger = null;
    }
    return this.held;
  }
}

/** Weight of a frame in a track's mean, in (0, 1]: presence, times 0.2 for each quality reason. */
export function qualityWeight({ presence, reasons }: Quality): number {
  return (presence === null ? 1 : Math.max(0.05, presence)) * WEIGHT_PER_REASON ** reasons.length;
}
