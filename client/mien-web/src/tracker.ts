/** Assigning lasting track IDs to the faces of a stream, as mien's Python module `tracking.tracker`. */

import { facePatch } from "./appearance";
import { assign } from "./assignment";
import { TRACKER } from "./constants";
import { movedPoints, type Detection, type Points } from "./faces";
import { Motion } from "./motion";
import { isBeside, likeness, noteNeighbors, untangle } from "./neighbors";
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
  /** Key of the track that it may have been taken for, and when the two were last near to each other. */
  beside: number | null;
  besideS: number;
  shape: Shape | null;
  shapeS: number;
  patch: Float32Array | null;
}

export class Tracker {
  tracks: Track[] = [];
  private nextKey = 1;
  private nextId = 1;

  constructor(
    private readonly maxGapS: number,
    private readonly minPresence: number,
    private readonly sampling: SamplingInterval,
  ) {}

  /** The track of each observation, in order, and the tracks that ended. */
  update(seen: readonly Observation[], timestampS: number, image: Pixels): [Track[], Track[]] {
    const over = this.tracks.filter((track) => this.isOver(track, timestampS));
    this.tracks = this.tracks.filter((track) => !over.includes(track));
    const costs = seen.map((each) => this.tracks.map((track) => this.cost(image, each, track, timestampS)));
    const pairs = assign(costs, TRACKER.MAX_COST);
    const tentative = this.returnLost(pairs, costs, timestampS);
    const owners = seen.map((each, row) => {
      const column = pairs.get(row);
      const track = column === undefined ? undefined : this.tracks[column];
      if (!track) return this.begin(image, each, timestampS);
      this.continue(image, track, each, timestampS);
      return track;
    });
    this.tracks = this.tracks.filter((track) => !tentative.has(track.key));
    this.tracks.push(...owners.filter((track) => !this.tracks.includes(track)));
    noteNeighbors(owners, timestampS);
    untangle(image, new Map(owners.map((track, k) => [track, seen[k]!])), this.tracks, timestampS);
    return [owners, over.filter((track) => track.trackId !== null)];
  }

  endAll(): Track[] {
    const ended = this.tracks.filter((track) => track.trackId !== null);
    this.tracks = [];
    return ended;
  }

  /** Moves every track with the camera, by pixels. */
  move(right: number, down: number): void {
    for (const track of this.tracks) {
      track.motion = track.motion.moved(right, down);
      track.points &&= movedPoints(track.points, (x, y) => [x + right, y + down]);
    }
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
    const hiddenS = track.beside === null ? track.firstS : track.besideS;
    if (now - Math.max(track.firstS, hiddenS) >= TRACKER.WAIT_S) return false;
    const { box } = track.motion;
    return this.tracks.some((other) => {
      const { motion, lastS } = other;
      const nearest = Math.min(motion.distance(box, now), motion.distance(box, lastS));
      return this.isLost(other, now) && nearest <= this.reach(now - lastS);
    });
  }

  private cost(image: Pixels, seen: Observation, track: Track, timestampS: number): number {
    const unseenS = timestampS - track.lastS;
    const isGap = unseenS > this.sampling.longestStepS(TRACKER.GAP_S);
    const { box } = seen.detection;
    let distance = track.motion.distance(box, timestampS);
    const reach = this.reach(unseenS);
    const look = isGap ? (likeness(image, seen, track) ?? 0) : 0;
    if (look >= TRACKER.SAME_PATCH) {
      // The face that is hidden may also have kept its velocity, or have turned back.
      distance = Math.min(distance, track.motion.distance(box, timestampS, true));
      if (look >= TRACKER.SAME_PATCH_BACK) distance = Math.min(distance, track.motion.distance(box, track.lastS));
      return distance <= reach ? distance + TRACKER.NOT_FOLLOWED : Infinity;
    }
    if (distance > reach) return Infinity;
    if (seen.followed.size === 1 && seen.followed.has(track.key)) return distance;
    if (seen.followed.size > 1) {
      // One face is before the other, or two tracks have one face.
      const unlike = 1 - Math.max(0, likeness(image, seen, track) ?? 1);
      distance += track.trackId === null ? TRACKER.NOT_CONFIRMED : unlike;
    }
    const shape = faceShape(seen.points);
    if (shape && track.shape) {
      const apart = shapeDistance(shape, track.shape);
      if (isGap && apart > TRACKER.MAX_SHAPE_AFTER_GAP) return Infinity;
      distance += TRACKER.SHAPE_WEIGHT * apart;
    }
    return seen.followed.has(track.key) ? distance : distance + TRACKER.NOT_FOLLOWED;
  }

  private begin(image: Pixels, seen: Observation, timestampS: number): Track {
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
      beside: null,
      besideS: -Infinity,
      shape: faceShape(seen.points),
      shapeS: timestampS,
      patch: patchOf(image, seen),
    };
    this.confirm(track);
    return track;
  }

  private continue(image: Pixels, track: Track, seen: Observation, timestampS: number): void {
    track.motion = track.motion.seen(seen.detection.box, timestampS);
    track.score = seen.detection.score;
    track.lastS = timestampS;
    track.hits += 1;
    track.meanScore += (track.score - track.meanScore) / track.hits;
    track.points = seen.points;
    if (!seen.followed.size) track.detectorS = timestampS;
    if (timestampS - track.shapeS >= TRACKER.SHAPE_EVERY_S) {
      if (!isBeside(track, timestampS)) track.patch = patchOf(image, seen) ?? track.patch;
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

/** How a face looks; one that is half hidden must not replace the whole one. */
function patchOf(image: Pixels, seen: Observation): Float32Array | null {
  return (seen.points?.presence ?? 0) >= SURE_PRESENCE ? facePatch(image, seen.points) : null;
}
