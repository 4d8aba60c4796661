/** How large and how fine frames are sent: as good as the network carries without lag. */

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
const QUICK_MS = 140;
const PATIENCE_MS = 4000;

/** Steps down at once where answers come late, and up again only after a calm while. */
export class QualityControl {
  private index = LEVELS.length - 1;
  private smoothedMs = 0;
  private changedAt = 0;

  get level(): Level {
    return LEVELS[this.index] as Level;
  }

  /**
   * @param networkMs time from sending to the answer, the server's own work left out
   * @param nowMs a clock
   * @returns whether the level changed
   */
  observe(networkMs: number, nowMs: number): boolean {
    this.smoothedMs = this.smoothedMs ? 0.7 * this.smoothedMs + 0.3 * networkMs : networkMs;
    const age = nowMs - this.changedAt;
    if (this.smoothedMs > SLOW_MS && this.index > 0 && age > 500) return this.move(-1, nowMs);
    if (this.smoothedMs < QUICK_MS && this.index < LEVELS.length - 1 && age > PATIENCE_MS) {
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
