/** Searching an image in several passes, for faces too small or too large for one; see the Python module. */

import type { BlazeFace } from "./detector";
import { eyeLineAngleDeg, movedDetection, movedPoints, type Detection } from "./faces";
import { area, center, height, intersection, iou, roundHalfEven, similarity, width, type Corners, type Point } from "./geometry";
import { blank, part, turned, warp, type Pixels } from "./pixels";
import { around, atBorder, isCut, isFlat, MAX_TILES, sideOf, tiles, wholeOf, type View } from "./views";

// The same constants as in mien's Python module `detection.search`, which says how they were chosen.
const ACCEPTED_SHARES = [0.125, 0.4] as const;
const ACCEPTED_SCORE = 0.75;
const VERIFY_SCALE = 5;
const CANDIDATE_SCORE = 0.5;
const SAME_IOU = 0.2;
const ZOOM_OUT = 2.5;
const PADDED_SIZE = 384;
const CLOSE_UP_SCORE = 0.6;
const CLOSE_UP_SCALE = 2;
const MIN_SIDE = 8;
const BORDER_SCORE = 0.12;
const BORDER_SCALE = 3;
const UPRIGHT_SCORE = 0.78;
const UPRIGHT_DEG = 40;
const TURN_SCALE = 2.5;
const TURN_GAIN = 0.1;
const TURNED_SCORE = 0.7;
const TURNED_SIDE = 1024;
const COMPANY_SHARES = [0.6, 1.6] as const;
const COMPANY_SCALE = 2.5;
const MAX_COMPANY = 16;
const COPIES_SCALE = 1.3;
const COPIES_SCORE = 0.6;
const COPY_SIZE = 192;
const MAX_OF_VIEW = 150;
const MAX_CANDIDATES = 1000;
const MAX_TURNED = 100;
const FAINT_SHARE = 0.4;
const MAX_FAINT = 4;
const REPEATED_IOU = 0.3;
const REPEATED_CONTAINED = 0.6;

export class FaceSearch {
  readonly name: string;

  constructor(
    private readonly detector: BlazeFace,
    private readonly closeUp: BlazeFace,
    readonly tiled = true,
  ) {
    this.name = detector.name;
  }

  /** Faces in a frame of a stream. */
  detect(image: Pixels, minScore: number): Promise<Detection[]> {
    return this.search(image, minScore, false).then(([found]) => found);
  }

  /** Faces in a still image, searched in more tiles, beyond its borders, and turned; and candidates with a low score. */
  async searchStill(image: Pixels, minScore: number): Promise<[Detection[], Detection[]]> {
    if (isFlat(image, wholeOf(image))) return [[], []];
    const [found, faint] = await this.search(image, minScore, true);
    found.sort((a, b) => a.box[1] - b.box[1]);
    const turns = new Set<number>();
    const unclear = [...found.entries()].filter(([, face]) => !isClearlyUpright(face));
    for (const [k, face] of unclear.slice(0, MAX_TURNED)) {
      const [turn, best] = await this.uprighted(image, face, minScore);
      found[k] = best;
      if (turn) turns.add(turn);
    }
    for (const face of found.length ? [] : faint.slice(0, 2)) {
      const [turn, best] = await this.uprighted(image, face, Math.max(minScore, COPIES_SCORE));
      if (!turn) continue;
      turns.add(turn);
      found.push(best);
    }
    for (const turn of [...turns].sort()) {
      found.push(...(await this.searchTurned(image, turn, Math.max(minScore, TURNED_SCORE))));
    }
    return [distinct(found, 0, MAX_CANDIDATES), faint];
  }

  private async uprighted(image: Pixels, detection: Detection, minScore: number): Promise<[number, Detection]> {
    const view = around(viewOf(detection.box), TURN_SCALE);
    const best: (Detection | undefined)[] = [];
    for (const [turn, other] of await detectInCopies(image, this.detector, view, CANDIDATE_SCORE ** 2)) {
      if (iou(detection.box, other.box) > SAME_IOU && other.score > (best[turn]?.score ?? 0)) best[turn] = other;
    }
    const scores = [0, 1, 2, 3].map((turn) => best[turn]?.score ?? 0);
    const turn = scores.indexOf(Math.max(...scores));
    const isTurned = turn > 0 && scores[turn]! >= Math.max(minScore, scores[0]! + TURN_GAIN);
    return isTurned ? [turn, best[turn]!] : [0, detection];
  }

  private async searchTurned(image: Pixels, turn: number, minScore: number): Promise<Detection[]> {
    const views = [wholeOf(image)];
    if (this.tiled) views.push(...tiles(image.width, image.height, Infinity));
    const found: Detection[] = [];
    for (const view of views) {
      if (!isFlat(image, view)) found.push(...(await detectIn(image, view, this.detector, minScore, { turn })));
    }
    return found;
  }

  /** Faces, and in a still image the best of what is none. */
  private async search(image: Pixels, minScore: number, still: boolean): Promise<[Detection[], Detection[]]> {
    if (Math.max(image.width, image.height) < MIN_SIDE) return [[], []];
    const whole = wholeOf(image);
    const sides = await this.candidates(image, minScore, still);
    const best = distinct([...sides.keys()], ACCEPTED_SCORE, MAX_CANDIDATES);
    let found: Detection[] = [];
    for (const candidate of best) {
      if (candidate.score < CANDIDATE_SCORE * minScore && !isCut(candidate.box, whole)) continue;
      const verified = await this.verified(image, candidate, sides.get(candidate)!, minScore, still);
      if (verified && verified.score >= minScore) found.push(verified);
    }
    found = distinct(found);
    if (!found.length) found = await (still ? this.findInCopies(image, minScore) : this.detectClose(image, minScore));
    const isFaint = (one: Detection) => still && one.score >= FAINT_SHARE * minScore && !found.includes(one);
    const faint = best.filter(isFaint);
    if (found.length) {
      for (const one of inCompany(faint, found).slice(0, MAX_COMPANY)) {
        const again = await detectAgain(image, this.detector, one.box, COMPANY_SCALE, minScore);
        if (again) found.push(again);
      }
      found = distinct(found);
    }
    return [found, faint.slice(0, MAX_FAINT)];
  }

  /** What looks a little like a face in any view, and the longer side of the view. */
  private async candidates(image: Pixels, minScore: number, still: boolean): Promise<Map<Detection, number>> {
    const whole = wholeOf(image);
    const views = [whole];
    if (this.tiled) views.push(...tiles(image.width, image.height, still ? Infinity : MAX_TILES));
    const found = new Map<Detection, number>();
    for (const view of views) {
      if (still && view !== whole && isFlat(image, view)) continue;
      const weakShare = atBorder(view, whole) ? BORDER_SCORE : FAINT_SHARE;
      const options = still ? { weakScore: weakShare * minScore } : {};
      const seen = await detectIn(image, view, this.detector, CANDIDATE_SCORE * minScore, options);
      for (const candidate of seen) {
        if (candidate.score >= FAINT_SHARE * minScore || isCut(candidate.box, whole)) found.set(candidate, sideOf(view));
      }
    }
    return found;
  }

  /** Faces that fill the image, and turned ones. */
  private async findInCopies(image: Pixels, minScore: number): Promise<Detection[]> {
    const view = around(wholeOf(image), COPIES_SCALE);
    let found = (await detectInCopies(image, this.detector, view, minScore))
      .filter(([turn, { score }]) => !turn || score >= COPIES_SCORE)
      .map(([, face]) => face);
    if (!found.length) found = await this.detectCloseUp(image, Math.max(minScore, CLOSE_UP_SCORE));
    return distinct(found);
  }

  /** Faces that fill the image, which one pass over it does not find. */
  async detectClose(image: Pixels, minScore: number): Promise<Detection[]> {
    let found = await detectIn(image, around(wholeOf(image), ZOOM_OUT), this.detector, minScore);
    if (!found.length) found = await this.detectCloseUp(image, Math.max(minScore, CLOSE_UP_SCORE));
    return distinct(found);
  }

  private async verified(
    image: Pixels,
    candidate: Detection,
    viewSide: number,
    minScore: number,
    still: boolean,
  ): Promise<Detection | null> {
    const { box, score } = candidate;
    if (still && score < minScore && isCut(box, wholeOf(image))) {
      return detectAgain(image, this.detector, box, BORDER_SCALE, minScore);
    }
    const share = Math.max(width(box), height(box)) / viewSide;
    if (score >= ACCEPTED_SCORE || (share >= ACCEPTED_SHARES[0] && share <= ACCEPTED_SHARES[1])) return candidate;
    return detectAgain(image, this.detector, box, VERIFY_SCALE, minScore);
  }

  private async detectCloseUp(image: Pixels, minScore: number): Promise<Detection[]> {
    const found: Detection[] = [];
    for (const candidate of await this.closeUp.detect(image, CANDIDATE_SCORE * minScore)) {
      const verified =
        candidate.score >= minScore
          ? candidate
          : await detectAgain(image, this.closeUp, candidate.box, CLOSE_UP_SCALE, minScore);
      if (verified) found.push(verified);
    }
    return found;
  }
}

/** Those beside the one or more faces that were found, and about as large. */
function inCompany(faint: readonly Detection[], found: readonly Detection[]): Detection[] {
  const side = ({ box }: Detection) => Math.max(width(box), height(box));
  const sides = found.map(side);
  const [low, high] = [COMPANY_SHARES[0] * Math.min(...sides), COMPANY_SHARES[1] * Math.max(...sides)];
  return faint.filter((one) => side(one) >= low && side(one) <= high && !found.some((face) => iou(one.box, face.box) > 0));
}

function isClearlyUpright({ points, score }: Detection): boolean {
  return !points || (score >= UPRIGHT_SCORE && Math.abs(eyeLineAngleDeg(points)) <= UPRIGHT_DEG);
}

/** Each face once, the best score first. A better box within a larger one, such as an eye in a face, counts from `sureScore`. */
export function distinct(found: readonly Detection[], sureScore = 0, limit = Infinity): Detection[] {
  const kept: Detection[] = [];
  for (const detection of [...found].sort((a, b) => b.score - a.score)) {
    const same = (other: Detection) =>
      iou(detection.box, other.box) > REPEATED_IOU ||
      ((area(detection.box) <= area(other.box) || other.score >= sureScore) &&
        intersection(detection.box, other.box) / Math.min(area(detection.box), area(other.box)) > REPEATED_CONTAINED);
    if (kept.length < limit && !kept.some(same)) kept.push(detection);
  }
  return kept;
}

/** The face at a box, detected in a view of `scale` times the box's size. */
async function detectAgain(
  image: Pixels,
  detector: BlazeFace,
  box: Corners,
  scale: number,
  minScore: number,
): Promise<Detection | null> {
  const view = around(viewOf(box), scale);
  let nearest: Detection | null = null;
  for (const other of await detectIn(image, view, detector, minScore)) {
    if (iou(box, other.box) > (nearest ? iou(box, nearest.box) : SAME_IOU)) nearest = other;
  }
  return nearest;
}

function viewOf(box: Corners): View {
  return box.map(roundHalfEven) as unknown as View;
}

/** Faces in a square view, shown upright and turned by quarters in one picture. */
async function detectInCopies(
  image: Pixels,
  detector: BlazeFace,
  view: View,
  minScore: number,
): Promise<[number, Detection][]> {
  const [left, top] = view;
  const scale = COPY_SIZE / sideOf(view);
  const toCopy = similarity(scale, 0, [-left * scale, -top * scale]);
  const copy = overlaps(view, image) ? warp(image, toCopy, COPY_SIZE, COPY_SIZE, false) : blank(COPY_SIZE, COPY_SIZE);
  const seen = blank(2 * COPY_SIZE, 2 * COPY_SIZE);
  for (let turn = 0; turn < 4; turn++) {
    const { data } = turned(copy, turn);
    for (let y = 0; y < COPY_SIZE; y++) {
      const row = ((turn >> 1) * COPY_SIZE + y) * seen.width + (turn & 1) * COPY_SIZE;
      seen.data.set(data.subarray(4 * y * COPY_SIZE, 4 * (y + 1) * COPY_SIZE), 4 * row);
    }
  }
  const found = (await detector.detect(seen, minScore)).slice(0, MAX_OF_VIEW).map((detection): [number, Detection] => {
    const [column, row] = center(detection.box).map((middle) => Number(middle >= COPY_SIZE)) as [number, number];
    const turn = 2 * row + column;
    const inCopy = movedDetection(detection, 1, -column * COPY_SIZE, -row * COPY_SIZE);
    return [turn, movedDetection(turnedBack(inCopy, turn, COPY_SIZE, COPY_SIZE), 1 / scale, left, top)];
  });
  return found.filter(([, { box }]) => overlaps(box, image));
}

/** Faces in a part of the image, in pixels of the image. */
async function detectIn(
  image: Pixels,
  view: View,
  detector: BlazeFace,
  minScore: number,
  { turn = 0, weakScore }: { turn?: number; weakScore?: number } = {},
): Promise<Detection[]> {
  const [left, top, right, bottom] = view;
  let scale = 1;
  let seen: Pixels;
  if (left >= 0 && top >= 0 && right <= image.width && bottom <= image.height) {
    seen = part(image, left, top, right, bottom);
    if (turn && sideOf(view) > TURNED_SIDE) {
      scale = TURNED_SIDE / sideOf(view);
      const size = [width(view), height(view)].map((side) => Math.max(1, roundHalfEven(side * scale)));
      seen = warp(seen, [scale, 0, 0, 0, scale, 0], size[0]!, size[1]!);
    }
  } else {
    scale = PADDED_SIZE / sideOf(view);
    const toPart = similarity(scale, 0, [-left * scale, -top * scale]);
    seen = overlaps(view, image) ? warp(image, toPart, PADDED_SIZE, PADDED_SIZE, false) : blank(PADDED_SIZE, PADDED_SIZE);
  }
  const found = await detector.detect(turned(seen, turn), minScore, weakScore);
  return found
    .slice(0, MAX_OF_VIEW)
    .map((detection) => turnedBack(detection, turn, seen.width, seen.height))
    .map((detection) => movedDetection(detection, 1 / scale, left, top))
    .filter(
      // A box across an inner border shows only part of a face; another view shows all of it. One beside the image is of
      // what surrounds it in the view.
      ({ box }) =>
        overlaps(box, image) &&
        (left <= 0 || box[0] > left) && (top <= 0 || box[1] > top) &&
        (right >= image.width || box[2] < right) && (bottom >= image.height || box[3] < bottom),
    );
}

function overlaps(view: View, image: Pixels): boolean {
  return intersection(view, wholeOf(image)) > 0;
}

/** A detection in a part that was turned counterclockwise, in pixels of the part as it was. */
function turnedBack(detection: Detection, turn: number, wide: number, high: number): Detection {
  if (!turn) return detection;
  const back = (x: number, y: number): Point =>
    turn === 1 ? [wide - y, x] : turn === 2 ? [wide - x, high - y] : [y, high - x];
  const [left, top, right, bottom] = detection.box;
  const [a, b] = [back(left, top), back(right, bottom)];
  return {
    score: detection.score,
    box: [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])],
    points: detection.points && movedPoints(detection.points, back),
  };
}
