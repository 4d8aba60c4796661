/** FaceMesh: 468 landmarks a face (Kartynnik et al. 2019). */

import { sigmoid } from "./detector";
import { boxOf, eyeLineAngleDeg, type Detection, type Points } from "./faces";
import { apply, center, height, invert, RADIANS, scaleOf, squareToFrame, width, type Point } from "./geometry";
import type { Network } from "./network";
import { lit, toInput, warp, type Pixels } from "./pixels";
import { numberOf } from "./specs";

// Distance between the regions from the landmarks and from the box above which a second pass runs.
const SECOND_PASS_DISTANCE = 0.08;

/** A turned square of an image: the input of the landmark network. */
export interface Region {
  readonly center: Point;
  readonly side: number;
  readonly angleDeg: number;
}

export class FaceMesh {
  readonly name: string;
  private readonly scale: number;

  constructor(private readonly network: Network) {
    this.name = network.spec.name;
    this.scale = numberOf(network.spec, "roi_scale");
  }

  async predict(image: Pixels, detection: Detection): Promise<Points> {
    const region = regionOfDetection(detection, this.scale);
    const points = await this.predictRegion(image, region);
    const better = regionOfPoints(points, this.scale);
    return distance(region, better) <= SECOND_PASS_DISTANCE ? points : this.predictRegion(image, better);
  }

  async predictRegion(image: Pixels, region: Region): Promise<Points> {
    const { spec } = this.network;
    const [size] = spec.input.size_wh;
    const transform = squareToFrame(region.center, region.side, region.angleDeg, size);
    const crop = warp(image, transform, size, size);
    const outputs = await this.network.run(toInput([lit(crop)], spec.input), 1);
    const raw = outputs[spec.outputs[0]!]!;
    const presence = sigmoid(outputs[spec.outputs[1]!]![0]!);
    const back = invert(transform);
    const scale = scaleOf(back);
    const values = new Float32Array(raw.length);
    for (let k = 0; k < raw.length; k += 3) {
      const [x, y] = apply(back, [raw[k]!, raw[k + 1]!]);
      values[k] = x;
      values[k + 1] = y;
      values[k + 2] = raw[k + 2]! * scale;
    }
    return { scheme: String(spec.parameters.scheme), values, dimensions: 3, presence };
  }
}

export function regionOfDetection({ box, points }: Detection, scale: number): Region {
  const angleDeg = points ? eyeLineAngleDeg(points) : 0;
  return { center: center(box), side: scale * Math.max(width(box), height(box)), angleDeg };
}

/** The region around known landmarks, for a second pass or for the next frame. */
export function regionOfPoints(points: Points, scale = 1.5): Region {
  const angleDeg = eyeLineAngleDeg(points);
  const cos = Math.cos(angleDeg * RADIANS);
  const sin = Math.sin(angleDeg * RADIANS);
  const upright = new Float32Array(points.values.length);
  for (let k = 0; k < upright.length; k += points.dimensions) {
    const [x, y] = [points.values[k]!, points.values[k + 1]!];
    upright[k] = cos * x + sin * y;
    upright[k + 1] = cos * y - sin * x;
  }
  const box = boxOf({ ...points, values: upright });
  const [x, y] = center(box);
  const side = Math.max(width(box), height(box), 1e-3);
  return { center: [cos * x - sin * y, sin * x + cos * y], side: scale * side, angleDeg };
}

function distance(a: Region, b: Region): number {
  const shift = Math.hypot(a.center[0] - b.center[0], a.center[1] - b.center[1]) / a.side;
  const turn = ((((a.angleDeg - b.angleDeg + 180) % 360) + 360) % 360) - 180;
  return Math.max(shift, Math.abs(Math.log(b.side / a.side)), Math.abs(turn) / 90);
}
