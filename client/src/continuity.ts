/** Joins the streams of a page: a reopened stream starts again at time 0, frame 0 and person 1. */

import type { FrameResult } from "./result";

export class Continuity {
  private startMs: number | undefined;
  private offsetS = 0;
  private firstFrame = 0;
  private firstPerson = 0;
  private nextFrame = 0;
  private lastPerson = 0;
  private reopened = false;

  /** The next result is the first one of a new stream. */
  reopen(): void {
    this.reopened = true;
  }

  /** @returns the number that a person of the page has in its present stream */
  inStream(trackId: number): number {
    return trackId - this.firstPerson;
  }

  /** @returns the number of the page of a person of its present stream */
  ofStream(trackId: number): number {
    return trackId + this.firstPerson;
  }

  /**
   * @param nowMs time of the arrival; it decides how much time passed between two streams
   * @returns the result with its time, frame and people counted from the first stream on
   */
  join(result: FrameResult, nowMs: number): FrameResult {
    const streamS = result.timestamp_s ?? 0;
    this.startMs ??= nowMs - 1000 * streamS;
    if (this.reopened) {
      this.offsetS = Math.max(0, (nowMs - this.startMs) / 1000 - streamS);
      this.firstFrame = this.nextFrame;
      this.firstPerson = this.lastPerson;
      this.reopened = false;
    }
    const frame = this.firstFrame + (result.frame_index ?? 0);
    this.nextFrame = frame + 1;
    const faces = result.faces.map((face) => {
      if (face.track_id === null) return face;
      const person = this.firstPerson + face.track_id;
      this.lastPerson = Math.max(this.lastPerson, person);
      return { ...face, track_id: person };
    });
    const timeS = Number((this.offsetS + streamS).toFixed(4));
    return { ...result, timestamp_s: timeS, frame_index: frame, faces };
  }
}
