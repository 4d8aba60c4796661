/** Statistics of one track, in memory that does not grow: blinks, closures, slow means. */

import { EYE_STATE, STATISTICS } from "./constants";
import type { Face, Track } from "./documents";
import type { SamplingInterval } from "./sampling";
import type { State } from "./smoothing";

const USUAL_OPENING = 0.29;

export class TrackStatistics {
  private readonly eyes = new EyeState();
  private readonly valence = new SlowMean();
  private readonly arousal = new SlowMean();
  private lastS: number;

  constructor(private readonly firstS: number) {
    this.lastS = firstS;
  }

  update(face: Face, state: State, timestampS: number, sampling: SamplingInterval): Track {
    let elapsed = timestampS - this.lastS;
    if (elapsed > sampling.longestStepS()) elapsed = 0;
    this.lastS = timestampS;
    const counts = sampling.seconds <= STATISTICS.MAX_INTERVAL_S;
    this.followLids(face, timestampS, sampling, counts);
    if (state !== "not visible" && face.affect) {
      this.valence.update(face.affect.valence, elapsed);
      this.arousal.update(face.affect.arousal, elapsed);
    }
    return {
      age_s: timestampS - this.firstS,
      state,
      blinks: counts && this.eyes.seenS > 0 ? this.eyes.blinks : null,
      blink_rate_per_min: counts ? this.eyes.blinkRatePerMin : null,
      perclos: counts ? this.eyes.perclos : null,
      eyes_closed_s: this.eyes.closureS(timestampS),
      yawns: null, // only blendshapes tell them from speech
      mood_valence: this.valence.slow,
      mood_arousal: this.arousal.slow,
    };
  }

  private followLids({ quality, signals }: Face, timestampS: number, sampling: SamplingInterval, counts: boolean): void {
    const shown = quality && quality.size_px >= STATISTICS.MIN_SIZE_PX && !quality.reasons.length;
    const usable = shown && sampling.seconds <= EYE_STATE.LONG_CLOSURE_S;
    const measured = [signals?.eye_opening_left, signals?.eye_opening_right].filter((value) => typeof value === "number");
    const opening = usable && measured.length ? measured.reduce((a, b) => a + b, 0) / measured.length : null;
    this.eyes.update(opening, quality?.yaw_deg ?? 0, timestampS, counts);
  }
}

/** Follows the opening of a person's eyes against their own open eyes. */
class EyeState {
  blinks = 0;
  private closedSinceS: number | null = null;
  seenS = 0;
  private level = USUAL_OPENING;
  private readonly window = new MinuteWindow();
  private lastS: number | null = null;

  update(opening: number | null, yawDeg: number, timestampS: number, counts: boolean): void {
    const elapsed = this.lastS === null ? 0 : timestampS - this.lastS;
    this.lastS = timestampS;
    if (opening === null || Math.abs(yawDeg) > EYE_STATE.MAX_YAW_DEG || elapsed > 1) {
      this.closedSinceS = null;
      return;
    }
    this.seenS += elapsed;
    this.follow(opening, timestampS, counts);
    const closed = this.closedSinceS !== null;
    this.adapt(opening, elapsed, closed);
    this.window.add(timestampS, elapsed, closed ? elapsed : 0, 0);
  }

  closureS(timestampS: number): number {
    return this.closedSinceS === null ? 0 : timestampS - this.closedSinceS;
  }

  get perclos(): number | null {
    const [seen, closed] = this.window.totals();
    return seen >= EYE_STATE.MIN_SEEN_S ? closed / seen : null;
  }

  get blinkRatePerMin(): number | null {
    const [seen, , blinks] = this.window.totals();
    return seen >= EYE_STATE.MIN_SEEN_S ? (60 * blinks) / seen : null;
  }

  private follow(opening: number, timestampS: number, counts: boolean): void {
    if (this.closedSinceS === null) {
      if (opening < EYE_STATE.CLOSED_SHARE * this.level) this.closedSinceS = timestampS;
      return;
    }
    if (opening <= EYE_STATE.OPEN_SHARE * this.level) return;
    const closureS = timestampS - this.closedSinceS;
    this.closedSinceS = null;
    if (counts && closureS >= EYE_STATE.MIN_BLINK_S && closureS < EYE_STATE.LONG_CLOSURE_S) {
      this.blinks += 1;
      this.window.add(timestampS, 0, 0, 1);
    }
  }

  /** Up within a second, down within ten; while the eyes are closed hardly at all. */
  private adapt(opening: number, elapsed: number, closed: boolean): void {
    let timeS = 1;
    if (opening <= this.level) timeS = closed ? (this.seenS < 60 ? 60 : 300) : 10;
    this.level += (1 - Math.exp(-elapsed / timeS)) * (opening - this.level);
    this.level = Math.max(this.level, 0.1);
  }
}

/** Seconds seen and closed, and blinks, over the last minute, in bins of a second. */
class MinuteWindow {
  private readonly bins: [number, number, number, number][] = [];

  add(timestampS: number, seen: number, closed: number, blinks: number): void {
    const second = Math.floor(timestampS);
    let last = this.bins.at(-1);
    if (!last || second > last[0]) {
      this.bins.push((last = [second, 0, 0, 0]));
      while (this.bins[0]![0] <= second - 60) this.bins.shift();
    }
    last[1] += seen;
    last[2] += closed;
    last[3] += blinks;
  }

  totals(): [number, number, number] {
    return this.bins.reduce<[number, number, number]>((sum, bin) => [sum[0] + bin[1], sum[1] + bin[2], sum[2] + bin[3]], [0, 0, 0]);
  }
}

/** An exponential mean over time; early on the plain mean. */
class SlowMean {
  slow: number | null = null;
  private weight = 0;

  update(value: number, elapsed: number): void {
    this.weight += elapsed;
    this.slow ??= value;
    const timeS = Math.min(STATISTICS.MOOD_TIME_S, Math.max(this.weight, 1e-6));
    this.slow += (1 - Math.exp(-elapsed / timeS)) * (value - this.slow);
  }
}
