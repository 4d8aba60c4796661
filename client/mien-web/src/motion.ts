/** Where a face moves: its velocity decays in time rather than in frames. */

import { center, height, width, type Corners, type Point } from "./geometry";

const VELOCITY_DECAY_S = 0.5;
const VELOCITY_TIME_S = 0.1;

export class Motion {
  private constructor(
    readonly x: number,
    readonly y: number,
    readonly width: number,
    readonly height: number,
    private readonly velocity: Point,
    readonly timestampS: number,
  ) {}

  static start(box: Corners, timestampS: number, velocity: Point = [0, 0]): Motion {
    const [x, y] = center(box);
    return new Motion(x, y, width(box), height(box), velocity, timestampS);
  }

  get box(): Corners {
    const [halfWidth, halfHeight] = [this.width / 2, this.height / 2];
    return [this.x - halfWidth, this.y - halfHeight, this.x + halfWidth, this.y + halfHeight];
  }

  /** The motion in a picture that moved by pixels; how it moved before says nothing then. */
  moved(right: number, down: number): Motion {
    return new Motion(this.x + right, this.y + down, this.width, this.height, [0, 0], this.timestampS);
  }

  /** The motion updated with a new box. */
  seen(box: Corners, timestampS: number): Motion {
    const elapsed = timestampS - this.timestampS;
    if (elapsed <= 0) return Motion.start(box, timestampS, this.velocity);
    const weight = 1 - Math.exp(-elapsed / VELOCITY_TIME_S);
    const [x, y] = center(box);
    return Motion.start(box, timestampS, [
      (1 - weight) * this.velocity[0] + (weight * (x - this.x)) / elapsed,
      (1 - weight) * this.velocity[1] + (weight * (y - this.y)) / elapsed,
    ]);
  }

  /** Expected center at a time. */
  predict(timestampS: number, keepsVelocity = false): Point {
    const elapsed = Math.max(0, timestampS - this.timestampS);
    const reach = keepsVelocity ? elapsed : VELOCITY_DECAY_S * (1 - Math.exp(-elapsed / VELOCITY_DECAY_S));
    return [this.x + this.velocity[0] * reach, this.y + this.velocity[1] * reach];
  }

  /** Distance of a box from the expected position and size, in units of the face size. */
  distance(box: Corners, timestampS: number, keepsVelocity = false): number {
    const [x, y] = this.predict(timestampS, keepsVelocity);
    const [boxX, boxY] = center(box);
    const own = Math.sqrt(this.width * this.height);
    const other = Math.sqrt(width(box) * height(box));
    const apart = Math.hypot(boxX - x, boxY - y) / ((own + other) / 2);
    return Math.hypot(apart, Math.log(other / own));
  }
}
