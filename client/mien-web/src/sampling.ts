/** The sampling interval of a stream, and the one rule for what counts as a gap. */

const STEPS = 15;
const GAP_INTERVALS = 2.5;

export class SamplingInterval {
  /** The median of the last steps in seconds; 0 before the second frame. */
  seconds = 0;
  private readonly steps: number[] = [];
  private lastS: number | undefined;

  update(timestampS: number): void {
    if (this.lastS !== undefined && timestampS > this.lastS) {
      this.steps.push(timestampS - this.lastS);
      if (this.steps.length > STEPS) this.steps.shift();
      this.seconds = [...this.steps].sort((a, b) => a - b)[(this.steps.length - 1) >> 1]!;
    }
    this.lastS = timestampS;
  }

  /** The longest time between two sightings that is not a gap. */
  longestStepS(atLeastS = 1): number {
    return Math.max(atLeastS, GAP_INTERVALS * this.seconds);
  }
}
