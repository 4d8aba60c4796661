/** Assigning lasting track IDs to the faces of a stream, as mien's Python module `tracking.tracker`. */

import { facePatch, similarity } from "./appearance";
import { assign } from "./assignment";
import { TRACKER } from "./constants";
import type { Detection, Points } from "./faces";
import { Motion } from "./motion";
import type { Pixels } from "./pixels";
import type { SamplingInterval } from "./sampling";
import { blendShapes, faceShape, shapeDistance, type Shape } from "./shape";

const SURE_SCORE = 0.7;
const SURE_PRESENCE = 0.9;

/** A face in a frame, not yet assigned to a track. */
export interface Observation {
  readonly detection: Detection;
  readonly points: Points | null;
  /** Keys of the tracks whose last landmarks led here; none for a new detection. */
  readonly followed: ReadonlySet<number>;
}

export interface Track {
  readonly key: number;
  trackId: number | null;
  motion: Motion;
  score: number;
  meanScore: number;
  readonly firstS: number;
  lastS: number;
  hits: number;
  points: Points | null;
  detectorS: number;
  shape: Shape | null;
  shapeS: number;
  patch: Float32Array | null;
}

export class Tracker {
  tracks: Track[] = [];
  private image: Pixels | null = null;
  private nextKey = 1;
  private nextId = 1;

  constructor(
    private readonly maxGapS: number,
    private readonly minPresence: number,
    private readonly sampling: SamplingInterval,
  ) {}

  /** The track of each observation, in order, and the tracks that ended. */
  update(seen: readonly Observation[], timestampS: number, image: Pixels): [Track[], Track[]] {
    this.image = image;
    const over = this.tracks.filter((track) => this.isOver(track, timestampS));
    this.tracks = this.tracks.filter((track) => !over.includes(track));
    const costs = seen.map((each) => this.tracks.map((track) => this.cost(each, track, timestampS)));
    const pairs = assign(costs, TRACKER.MAX_COST);
    const tentative = this.returnLost(pairs, costs, timestampS);
    const owners = seen.map((each, row) => {
      const column = pairs.get(row);
      const track = column === undefined ? undefined : this.tracks[column];
      if (!track) return this.begin(each, timestampS);
      this.continue(track, each, timestampS);
      return track;
    });
    this.tracks = this.tracks.filter((track) => !tentative.has(track.key));
    this.tracks.push(...owners.filter((track) => !this.tracks.includes(track)));
    return [owners, over.filter((track) => track.trackId !== null)];
  }

  endAll(): Track[] {
    const ended = this.tracks.filter((track) => track.trackId !== null);
    this.tracks = [];
    return ended;
  }

  /** Lost tracks continue in the faces of tentative ones, whose keys are returned. */
  private returnLost(pairs: Map<number, number>, costs: readonly number[][], timestampS: number): Set<number> {
    const taken = new Set(pairs.values());
    const lost = this.tracks.flatMap((track, k) => (this.isLost(track, timestampS) && !taken.has(k) ? [k] : []));
    const replaced = new Set<number>();
    for (const [row, column] of [...pairs]) {
      const best = lost.reduce((a, b) => (a < 0 || costs[row]![b]! < costs[row]![a]! ? b : a), -1);
      if (this.tracks[column]!.trackId !== null || best < 0) continue;
      if (costs[row]![best]! <= TRACKER.MAX_COST) {
        replaced.add(this.tracks[column]!.key);
        pairs.set(row, best);
        lost.splice(lost.indexOf(best), 1);
      }
    }
    return replaced;
  }

  private isLost(track: Track, timestampS: number): boolean {
    return track.trackId !== null && timestampS - track.lastS > this.sampling.longestStepS(TRACKER.GAP_S);
  }

  private reach(unseenS: number): number {
    return Math.min(TRACKER.REACH + TRACKER.REACH_PER_S * unseenS, TRACKER.MAX_REACH);
  }

  /** Whether a young track may yet turn out to be a lost one that comes back. */
  private mayBeLostOne(track: Track): boolean {
    const now = track.lastS;
    if (now - track.firstS >= TRACKER.WAIT_S) return false;
    return this.tracks.some(
      (other) =>
        this.isLost(other, now) && other.motion.distance(track.motion.box, now) <= this.reach(now - other.lastS),
    );
  }

  private cost(seen: Observation, track: Track, timestampS: number): number {
    const unseenS = timestampS - track.lastS;
    const isGap = unseenS > this.sampling.longestStepS(TRACKER.GAP_S);
    const { box } = seen.detection;
    let distance = track.motion.distance(box, timestampS);
    const reach = this.reach(unseenS);
    if (isGap && this.looksAlike(seen, track)) {
      distance = Math.min(distance, track.motion.distance(box, timestampS, true));
      return distance <= reach ? distance + TRACKER.NOT_FOLLOWED : Infinity;
    }
    if (distance > reach) return Infinity;
    if (seen.followed.size === 1 && seen.followed.has(track.key)) return distance;
    if (seen.followed.size > 1 && track.trackId === null) distance += TRACKER.NOT_CONFIRMED;
    const shape = faceShape(seen.points);
    if (shape && track.shape) {
      const apart = shapeDistance(shape, track.shape);
      if (isGap && apart > TRACKER.MAX_SHAPE_AFTER_GAP) return Infinity;
      distance += TRACKER.SHAPE_WEIGHT * apart;
    }
    return seen.followed.has(track.key) ? distance : distance + TRACKER.NOT_FOLLOWED;
  }

  private patchOf(seen: Observation): Float32Array | null {
    if (!this.image || (seen.points?.presence ?? 0) < SURE_PRESENCE) return null;
    return facePatch(this.image, seen.points);
  }

  private looksAlike(seen: Observation, track: Track): boolean {
    if (!this.image || !track.patch) return false;
    return similarity(facePatch(this.image, seen.points), track.patch) >= TRACKER.SAME_PATCH;
  }

  private begin(seen: Observation, timestampS: number): Track {
    const track: Track = {
      key: this.nextKey++,
      trackId: null,
      motion: Motion.start(seen.detection.box, timestampS),
      score: seen.detection.score,
      meanScore: seen.detection.score,
      firstS: timestampS,
      lastS: timestampS,
      hits: 1,
      points: seen.points,
      detectorS: timestampS,
      shape: faceShape(seen.points),
      shapeS: timestampS,
      patch: this.patchOf(seen),
    };
    this.confirm(track);
    return track;
  }

  private continue(track: Track, seen: Observation, timestampS: number): void {
    track.motion = track.motion.seen(seen.detection.box, timestampS);
    track.score = seen.detection.score;
    track.lastS = timestampS;
    track.hits += 1;
    track.meanScore += (track.score - track.meanScore) / track.hits;
    track.points = seen.points;
    if (!seen.followed.size) track.detectorS = timestampS;
    if (timestampS - track.shapeS >= TRACKER.SHAPE_EVERY_S) {
      track.patch = this.patchOf(seen) ?? track.patch;
      this.learnShape(track, seen.points, timestampS);
    }
    this.confirm(track);
  }

  private learnShape(track: Track, points: Points | null, timestampS: number): void {
    const shape = faceShape(points);
    if (!shape) return;
    const weight = 1 - Math.exp(-(timestampS - track.shapeS) / TRACKER.SHAPE_TIME_S);
    track.shape = track.shape ? blendShapes(track.shape, shape, weight) : shape;
    track.shapeS = timestampS;
  }

  /** Assigns the ID once detector and landmarks agree, or one of them says so repeatedly. */
  private confirm(track: Track): void {
    const presence = track.points?.presence ?? null;
    if (presence !== null && presence < this.minPresence) return;
    const votes = Number(track.meanScore >= SURE_SCORE) + Number(presence === null || presence >= 0.5);
    const sure = votes === 2 || (votes === 1 && track.hits >= TRACKER.CONFIRM_HITS);
    if (track.trackId === null && sure && !this.mayBeLostOne(track)) track.trackId = this.nextId++;
  }

  private isOver(track: Track, timestampS: number): boolean {
    const gapS = track.trackId === null ? TRACKER.TENTATIVE_GAP_S : this.maxGapS;
    return timestampS - track.lastS > this.sampling.longestStepS(gapS);
  }
}
