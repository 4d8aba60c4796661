/** Chooses the size and JPEG quality of sent frames: the best that the network carries without lag. */

export interface Level {
  width: number;
  jpeg: number;
}

export const LEVELS: readonly Level[] = [
  { width: 256, jpeg: 0.6 },
  { width: 320, jpeg: 0.7 },
  { width: 480, jpeg: 0.75 },
  { width: 640, jpeg: 0.8 },
];

const SLOW_MS = 260;
const FAST_MS = 140;
const STEP_UP_AFTER_MS = 4000;

/** Steps down at once if results arrive late, and up only after a stable period. */
export class QualityControl {
  private index = LEVELS.length - 1;
  private smoothedMs = 0;
  private changedAt = 0;

  get level(): Level {
    return LEVELS[this.index] as Level;
  }

  /**
   * @param networkMs time from sending to the result, without the server's processing time
   * @param nowMs current time
   * @returns whether the level changed
   */
  observe(networkMs: number, nowMs: number): boolean {
    this.smoothedMs = this.smoothedMs ? 0.7 * this.smoothedMs + 0.3 * networkMs : networkMs;
    const age = nowMs - this.changedAt;
    if (this.smoothedMs > SLOW_MS && this.index > 0 && age > 500) return this.move(-1, nowMs);
    if (this.smoothedMs < FAST_MS && this.index < LEVELS.length - 1 && age > STEP_UP_AFTER_MS) {
      return this.move(1, nowMs);
    }
    return false;
  }

  private move(step: number, nowMs: number): boolean {
    this.index += step;
    this.changedAt = nowMs;
    this.smoothedMs = 0;
    return true;
  }
}
