/** Statistics of one track, in memory that does not grow: slow means of its mood. */

import { STATISTICS } from "./constants";
import type { Face, Track } from "./documents";
import type { SamplingInterval } from "./sampling";
import type { State } from "./smoothing";

export class TrackStatistics {
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
    if (state !== "not visible" && face.affect) {
      this.valence.update(face.affect.valence, elapsed);
      this.arousal.update(face.affect.arousal, elapsed);
    }
    return {
      age_s: timestampS - this.firstS,
      state,
      // The lids of facemesh do not show them, and only blendshapes tell yawns from speech.
      blinks: null,
      blink_rate_per_min: null,
      perclos: null,
      eyes_closed_s: null,
      yawns: null,
      mood_valence: this.valence.slow,
      mood_arousal: this.arousal.slow,
    };
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
