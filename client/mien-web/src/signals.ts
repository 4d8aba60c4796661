/** Measurements of a face from its pixels, landmarks and probabilities, as in mien's Python package `signals`. */

import * as constants from "./constants";
import type { Affect, Expression, Quality, Signals } from "./documents";
import { countOf, pointAt, type Detection, type Points } from "./faces";
import { area, intersection, RADIANS, squareToFrame } from "./geometry";
import { nearestRotation, type Matrix3 } from "./matrix";
import { regionOfDetection, regionOfPoints } from "./mesh";
import { mean, sharpness, toGray, warp, type Pixels } from "./pixels";
import type { Verdict } from "./verifier";
import { wholeOf } from "./views";

export interface Measured {
  readonly quality: Quality;
  readonly signals: Signals;
  readonly affect: Affect | null;
}

const CROP_SIZE = 64;

export function measureFace(
  image: Pixels,
  detection: Detection,
  points: Points | null,
  expression: Expression | null,
  verdict?: Verdict,
): Measured {
  const pose = points && estimatePose(points);
  const head = pose && headPosition(pose, image);
  const neutral = expression?.probabilities.neutral;
  return {
    quality: measureQuality(image, detection, points, pose, verdict),
    signals: {
      eye_opening_left: points && opening(points, constants.EYES[0]!),
      eye_opening_right: points && opening(points, constants.EYES[1]!),
      mouth_opening: points && mouthOpening(points),
      facing: pose && Math.cos(pose.yaw * RADIANS) * Math.cos(pose.pitch * RADIANS),
      expressivity: neutral === undefined ? null : 1 - neutral,
      head_x_cm: head?.[0] ?? null,
      head_y_cm: head?.[1] ?? null,
      head_z_cm: head?.[2] ?? null,
    },
    affect: expression && deriveAffect(expression.probabilities),
  };
}

interface Pose {
  readonly yaw: number;
  readonly pitch: number;
  readonly roll: number;
  /** Of the middle of the upper face. */
  readonly middle: readonly [number, number];
  readonly pxPerCm: number;
}

function estimatePose(points: Points): Pose | null {
  if (points.scheme !== "mesh468" || points.dimensions !== 3) return null;
  // Rows: axes of the observed face; columns: axes of the canonical face, which is centered.
  const spread: Matrix3 = [0, 0, 0, 0, 0, 0, 0, 0, 0];
  const entries = constants.RIGID_FACE;
  const middle = [0, 1, 2].map((axis) => mean(entries.map(([, position]) => position[axis]!)));
  let squaredSize = 0;
  for (const [, position] of entries) {
    for (const axis of [0, 1, 2] as const) squaredSize += (position[axis] - middle[axis]!) ** 2;
  }
  for (const [index, position] of entries) {
    for (let row = 0; row < 3; row++) {
      for (let column = 0; column < 3; column++) {
        spread[3 * row + column]! += points.values[3 * index + row]! * (position[column]! - middle[column]!);
      }
    }
  }
  const r = nearestRotation(spread);
  const roll = Math.atan2(r[3]!, r[0]!);
  const [cos, sin] = [Math.cos(roll), Math.sin(roll)];
  const [awayX, awayY, awayZ] = [r[2]!, r[5]!, r[8]!];
  const [x, y, z] = [-(cos * awayX + sin * awayY), -(cos * awayY - sin * awayX), -awayZ];
  return {
    yaw: Math.atan2(x, -z) / RADIANS,
    pitch: Math.atan2(-y, Math.hypot(x, z)) / RADIANS,
    roll: roll / RADIANS,
    middle: [0, 1].map((axis) => mean(entries.map(([index]) => points.values[3 * index + axis]!))) as [number, number],
    pxPerCm: r.reduce((sum, value, k) => sum + value * spread[k]!, 0) / squaredSize,
  };
}

/** Where the middle of the upper face is, in cm from the camera. */
function headPosition({ middle, pxPerCm }: Pose, { width, height }: Pixels): [number, number, number] {
  const focal = constants.FOCAL_LENGTH * Math.max(width, height);
  return [(middle[0] - width / 2) / pxPerCm, (middle[1] - height / 2) / pxPerCm, focal / pxPerCm];
}

/** Distance between the lids over that of the corners (Soukupová and Čech 2016). */
function opening(points: Points, contour: readonly number[]): number | null {
  if (points.scheme !== "mesh468") return null;
  const [left, upperLeft, upperRight, right, lowerRight, lowerLeft] = contour as [number, number, number, number, number, number];
  const wide = length3(points, left, right);
  if (!wide) return null;
  return (length3(points, upperLeft, lowerLeft) + length3(points, upperRight, lowerRight)) / 2 / wide;
}

function mouthOpening(points: Points): number | null {
  if (points.scheme !== "mesh468") return null;
  const { corners, upper, lower } = constants.INNER_LIPS;
  const wide = length3(points, corners[0]!, corners[1]!);
  if (!wide) return null;
  return mean(upper.map((k, n) => length3(points, k, lower[n]!))) / wide;
}

function length3({ values }: Points, a: number, b: number): number {
  return Math.hypot(
    values[3 * a]! - values[3 * b]!,
    values[3 * a + 1]! - values[3 * b + 1]!,
    values[3 * a + 2]! - values[3 * b + 2]!,
  );
}

/** Probability-weighted mean of the expressions' coordinates (Russell and Mehrabian 1977). */
export function deriveAffect(probabilities: Readonly<Record<string, number>>): Affect | null {
  let [known, valence, arousal] = [0, 0, 0];
  for (const [label, probability] of Object.entries(probabilities)) {
    const place = Object.hasOwn(constants.AFFECT, label) ? constants.AFFECT[label] : undefined;
    if (!place) continue;
    known += probability;
    valence += probability * place[0];
    arousal += probability * place[1];
  }
  if (known <= constants.AFFECT_MIN_KNOWN) return null;
  return { valence: valence / known, arousal: arousal / known, method: constants.AFFECT_METHOD };
}

function measureQuality(
  image: Pixels,
  detection: Detection,
  points: Points | null,
  pose: Pose | null,
  verdict?: Verdict,
): Quality {
  const isWhole = points?.scheme === "mesh468";
  const region = isWhole ? regionOfPoints(points, 1) : regionOfDetection(detection, 1);
  const transform = squareToFrame(region.center, region.side, region.angleDeg, CROP_SIZE);
  const gray = toGray(warp(image, transform, CROP_SIZE, CROP_SIZE));
  const limits = constants.LIMITS;
  const quality: Quality = {
    size_px: Math.sqrt(area(detection.box)),
    sharpness: sharpness(gray, CROP_SIZE),
    brightness: mean(gray) / 255,
    yaw_deg: pose && pose.yaw,
    pitch_deg: pose && pose.pitch,
    roll_deg: pose && pose.roll,
    presence: verdict?.presence ?? points?.presence ?? null,
    reasons: [],
  };
  const beyond = (value: number | null, limit: number) => value !== null && Math.abs(value) > limit;
  const below = (value: number | null, limit: number) => value !== null && value < limit;
  const findings: [string, boolean][] = [
    ["small", quality.size_px < limits.min_size_px],
    ["blurred", below(quality.sharpness, limits.min_sharpness)],
    ["dark", below(quality.brightness, limits.min_brightness)],
    ["bright", beyond(quality.brightness, limits.max_brightness)],
    ["turned", beyond(quality.yaw_deg, limits.max_yaw_deg) || beyond(quality.pitch_deg, limits.max_pitch_deg)],
    ["tilted", beyond(quality.roll_deg, limits.max_roll_deg)],
    ["cut off", shareInside(image, detection, isWhole ? points : null) < limits.min_inside],
    ["unclear", below(quality.presence, limits.min_presence) || below(points?.presence ?? null, limits.min_presence)],
  ];
  const reasons = findings.filter(([, holds]) => holds).map(([reason]) => reason);
  const covered = verdict?.covered ?? [];
  if (covered.length) reasons.push("covered", ...covered.map((part) => `${part} covered`));
  return { ...quality, reasons };
}

function shareInside(image: Pixels, { box }: Detection, points: Points | null): number {
  if (!points) return intersection(box, wholeOf(image)) / area(box);
  let inside = 0;
  const count = countOf(points);
  for (let k = 0; k < count; k++) {
    const [x, y] = pointAt(points, k);
    if (x >= 0 && y >= 0 && x < image.width && y < image.height) inside++;
  }
  return inside / count;
}
