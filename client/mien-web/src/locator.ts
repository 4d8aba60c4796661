/** Locating the faces of a frame: followed by their landmarks, and detected now and then. */

import type { Analyzer } from "./analyzer";
import { facePatch, similarity } from "./appearance";
import { LOCATOR, SEARCH } from "./constants";
import { isFound } from "./blocks";
import { boxOf, movedDetection, type Detection, type Points } from "./faces";
import { area, center, height, iou, width, type Corners } from "./geometry";
import { regionOfPoints, type Region } from "./mesh";
import { part, type Pixels } from "./pixels";
import { MotionGate, type Grid } from "./scene";
import type { Observation, Track } from "./tracker";
import { tiles } from "./views";

// Half a millisecond of tolerance for rounded timestamps.
const TOLERANCE_S = 5e-4;

export class FaceLocator {
  private readonly gate = new MotionGate();
  private lastSearchS = -Infinity;
  private lastLocalSearchS = -Infinity;
  private lastFrameS = -Infinity;
  /** Faces that were already followed into the frame of this time. */
  private ahead: readonly [number, Observation[]] = [-Infinity, []];

  constructor(
    private readonly analyzer: Analyzer,
    private readonly maxFaces: number,
  ) {}

  /** The faces in a frame, none of them twice. */
  async locate(image: Pixels, tracks: readonly Track[], timestampS: number, grid: Grid): Promise<Observation[]> {
    const inView = tracks.filter((track) => track.lastS >= this.lastFrameS);
    this.lastFrameS = timestampS;
    const isAhead = this.ahead[0] === timestampS && inView.length > 0;
    let followed = isAhead ? this.ahead[1] : await this.follow(image, inView, timestampS);
    const missing = missingOf(tracks, followed);
    const lostNow = missingOf(inView, followed).some((track) => isPresent(track.points));
    const views = this.analyzer.search.tiled ? 1 + tiles(image.width, image.height).length : 1;
    let found: Detection[];
    if (
      this.mustSearch(followed, missing, views, timestampS, lostNow) &&
      !this.mayWait(followed, missing, timestampS, grid, image)
    ) {
      this.lastSearchS = timestampS;
      this.gate.noteSearch(grid);
      const detections = await this.analyzer.search.detect(image, this.analyzer.minScore);
      [followed, found] = reconcile(followed, detections, tracks, timestampS);
    } else if (missing.length && (lostNow || isDue(timestampS, this.lastLocalSearchS, SEARCH.search_every_s))) {
      this.lastLocalSearchS = timestampS;
      found = await this.searchMissing(image, missing, followed, timestampS);
    } else return followed;
    if (this.maxFaces) found = found.slice(0, Math.max(0, this.maxFaces - followed.length));
    const seen = [...followed];
    for (const detection of found) {
      seen.push({ detection, points: await this.analyzer.mesh.predict(image, detection), followed: new Set() });
    }
    return seen;
  }

  /** Whether a face of the frame before is where it is expected in this one; null where none can be compared. */
  async continues(
    image: Pixels,
    before: Pixels | null,
    tracks: readonly Track[],
    timestampS: number,
  ): Promise<boolean | null> {
    if (!before) return null;
    const inView = tracks.filter((track) => track.lastS >= this.lastFrameS);
    const followed = await this.follow(image, inView, timestampS);
    this.ahead = [timestampS, followed];
    const alike = followed.flatMap((seen) =>
      inView
        .filter(({ key }) => seen.followed.has(key))
        .map((track) => similarity(facePatch(before, track.points), facePatch(image, seen.points)))
        .filter((value) => value !== null),
    );
    if (alike.some((value) => value >= LOCATOR.SAME_PATCH)) return true;
    for (const { motion } of inView) {
      const [x, y] = motion.predict(timestampS);
      if (isFound(before, image, motion.box, motion.moved(x - motion.x, y - motion.y).box)) return true;
    }
    return alike.length ? false : null;
  }

  private mustSearch(
    followed: readonly Observation[],
    missing: readonly Track[],
    views: number,
    timestampS: number,
    lostNow: boolean,
  ): boolean {
    if (views === 1 && lostNow) return true;
    const everyS =
      !followed.length || (missing.length && views === 1)
        ? Math.max(SEARCH.search_every_s, LOCATOR.MISSING_S_PER_VIEW * (views - 1))
        : Math.max(SEARCH.detect_every_s, LOCATOR.PRESENT_S_PER_VIEW * (views - 1));
    return isDue(timestampS, this.lastSearchS, everyS);
  }

  /** Whether a search that is due can wait, because no face can have come or gone. */
  private mayWait(
    followed: readonly Observation[],
    missing: readonly Track[],
    timestampS: number,
    grid: Grid,
    image: Pixels,
  ): boolean {
    if (missing.length || !followed.length) return false;
    if (followed.some((seen) => presenceOf(seen) < LOCATOR.SURE_PRESENCE)) return false;
    if (isDue(timestampS, this.lastSearchS, SEARCH.still_every_s)) return false;
    return this.gate.isStill(grid, followed.map((seen) => seen.detection.box), image);
  }

  /** Detects missing faces where they are expected, the longest seen first. */
  private async searchMissing(
    image: Pixels,
    missing: readonly Track[],
    followed: readonly Observation[],
    timestampS: number,
  ): Promise<Detection[]> {
    const found: Detection[] = [];
    const known = followed.map((seen) => seen.detection.box);
    const expected = [...missing].sort((a, b) => b.hits - a.hits).slice(0, LOCATOR.MAX_SEARCHES);
    for (const track of expected) {
      for (const detection of await this.searchAround(image, track, timestampS)) {
        if (known.some((box) => iou(box, detection.box) >= LOCATOR.SAME_FACE_IOU)) continue;
        found.push(detection);
        known.push(detection.box);
      }
    }
    return found;
  }

  private async searchAround(image: Pixels, { motion }: Track, timestampS: number): Promise<Detection[]> {
    const [x, y] = motion.predict(timestampS);
    const reach = (LOCATOR.SEARCH_SIZE * Math.max(motion.width, motion.height)) / 2;
    const [left, top] = [Math.max(0, Math.trunc(x - reach)), Math.max(0, Math.trunc(y - reach))];
    const right = Math.min(image.width, Math.trunc(x + reach));
    const bottom = Math.min(image.height, Math.trunc(y + reach));
    if (right - left < 2 || bottom - top < 2) return [];
    const found = await this.analyzer.search.detect(part(image, left, top, right, bottom), this.analyzer.minScore);
    return found.map((detection) => movedDetection(detection, 1, left, top));
  }

  private async follow(image: Pixels, tracks: readonly Track[], timestampS: number): Promise<Observation[]> {
    const found: Observation[] = [];
    for (const track of tracks) {
      if (!track.points || !isPresent(track.points)) continue;
      const points = await this.analyzer.mesh.predictRegion(image, nextRegion(track, track.points, timestampS));
      const box = isPresent(points) ? movedBox(track, track.points, points) : null;
      if (!box) continue;
      const detection = { box, score: track.score, points: null };
      found.push({ detection, points, followed: new Set([track.key]) });
    }
    return withoutTwins(found);
  }
}

function isDue(timestampS: number, lastS: number, everyS: number): boolean {
  return timestampS - lastS >= everyS - TOLERANCE_S;
}

function isPresent(points: Points | null): boolean {
  return points !== null && (points.presence ?? 0) >= SEARCH.min_presence;
}

function presenceOf(seen: Observation): number {
  return seen.points?.presence ?? 0;
}

function missingOf(tracks: readonly Track[], followed: readonly Observation[]): Track[] {
  return tracks.filter((track) => !followed.some((seen) => seen.followed.has(track.key)));
}

function nextRegion(track: Track, points: Points, timestampS: number): Region {
  const region = regionOfPoints(points);
  const [x, y] = track.motion.predict(timestampS);
  return { ...region, center: [region.center[0] + x - track.motion.x, region.center[1] + y - track.motion.y] };
}

/** The track's box, moved and resized as its landmarks did; null where they collapsed. */
function movedBox({ motion }: Track, from: Points, to: Points): Corners | null {
  const [before, after] = [boxOf(from), boxOf(to)];
  const scale = Math.sqrt(area(after) / area(before));
  if (!(scale > 0.5 && scale < 2)) return null;
  const [oldCenter, newCenter] = [center(before), center(after)];
  const x = newCenter[0] + scale * (motion.x - oldCenter[0]);
  const y = newCenter[1] + scale * (motion.y - oldCenter[1]);
  const [halfWidth, halfHeight] = [(scale * motion.width) / 2, (scale * motion.height) / 2];
  return [x - halfWidth, y - halfHeight, x + halfWidth, y + halfHeight];
}

/** One observation where several tracks were led to the same face. */
function withoutTwins(found: readonly Observation[]): Observation[] {
  const kept: Observation[] = [];
  for (const seen of [...found].sort((a, b) => presenceOf(b) - presenceOf(a))) {
    const twin = kept.findIndex((other) => overlap(seen, other) >= LOCATOR.SAME_FACE_IOU);
    if (twin < 0) kept.push(seen);
    else kept[twin] = { ...kept[twin]!, followed: new Set([...kept[twin]!.followed, ...seen.followed]) };
  }
  return kept;
}

function overlap(a: Observation, b: Observation): number {
  return a.points && b.points ? iou(boxOf(a.points), boxOf(b.points)) : 0;
}

/** Followed faces, confirmed by detections or dropped; and detections of other faces, the largest first. */
function reconcile(
  followed: readonly Observation[],
  detections: readonly Detection[],
  tracks: readonly Track[],
  timestampS: number,
): [Observation[], Detection[]] {
  const kept: Observation[] = [];
  const taken = new Set<Detection>();
  for (const seen of followed) {
    const own = tracks.filter((track) => seen.followed.has(track.key));
    const same = detections
      .map((detection) => [iou(seen.detection.box, detection.box), detection] as const)
      .filter(([share]) => share >= LOCATOR.SAME_FACE_IOU)
      .sort(([a], [b]) => b - a);
    const best = same[0]?.[1];
    if (best) {
      for (const [, detection] of same) taken.add(detection);
      kept.push({ ...seen, detection: { ...best, box: middleOf(seen.detection.box, best.box) } });
      for (const track of own) track.detectorS = timestampS;
    } else if (mayStay(seen, own, timestampS)) kept.push(seen);
  }
  const others = detections.filter((detection) => !taken.has(detection));
  return [kept, others.sort((a, b) => width(b.box) * height(b.box) - width(a.box) * height(a.box))];
}

/** Halfway to the detector's box, so that a followed one neither drifts nor jumps. */
function middleOf(a: Corners, b: Corners): Corners {
  return a.map((value, k) => (value + b[k]!) / 2) as unknown as Corners;
}

function mayStay(seen: Observation, tracks: readonly Track[], timestampS: number): boolean {
  const limitS = SEARCH.unconfirmed_s * (presenceOf(seen) >= LOCATOR.SURE_PRESENCE ? 1 : 1 / 3);
  return tracks.some((track) => timestampS - track.detectorS < limitS);
}
