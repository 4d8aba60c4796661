/** Faces that pass each other: how they looked before decides which track is whose. */

import { facePatch, similarity } from "./appearance";
import { NEIGHBORS } from "./constants";
import type { Pixels } from "./pixels";
import type { Observation, Track } from "./tracker";

/** Remembers which tracks in view are so near to each other that their faces may be confused. */
export function noteNeighbors(tracks: readonly Track[], timestampS: number): void {
  for (const [k, track] of tracks.entries()) {
    for (const other of tracks.slice(k + 1)) {
      if (track.motion.distance(other.motion.box, track.motion.timestampS) >= NEIGHBORS.BESIDE) continue;
      [track.beside, other.beside] = [other.key, track.key];
      track.besideS = other.besideS = timestampS;
    }
  }
}

/** Whether the face is near to another one, or was, and may be that. */
export function isBeside(track: Track, timestampS: number): boolean {
  return track.beside !== null && timestampS - track.besideS <= NEIGHBORS.KEPT_S;
}

/** Correlation of a face with the last whole look of a track; null where one is unknown. */
export function likeness(image: Pixels, seen: Observation, track: Track): number | null {
  return track.patch && similarity(facePatch(image, seen.points), track.patch);
}

/** Exchanges the track IDs of two faces that have passed each other, if they look so. */
export function untangle(
  image: Pixels,
  owners: ReadonlyMap<Track, Observation>,
  tracks: readonly Track[],
  now: number,
): void {
  for (const track of owners.keys()) {
    const other = tracks.find(({ key }) => key === track.beside);
    if (!other || track.trackId === null || other.trackId === null) continue;
    if (track.besideS >= now || !isBeside(track, now)) continue;
    const pairs = [[track, other], [other, track]] as const;
    const found = pairs.filter(([own]) => owners.has(own));
    const gains = found.map(([own, foreign]) => gain(image, owners.get(own)!, own, foreign) ?? 0);
    const sum = gains.reduce((a, b) => a + b, 0);
    if (Math.abs(sum) < NEIGHBORS.BETTER) continue;
    if (sum > 0) exchange(track, other);
    track.beside = null;
    if (found.length === 2) other.beside = null;
  }
}

/** How much better a face fits another track than its own; null while it is not seen well. */
function gain(image: Pixels, seen: Observation, own: Track, foreign: Track): number | null {
  if ((seen.points?.presence ?? 0) < NEIGHBORS.SURE_PRESENCE) return null;
  const patch = facePatch(image, seen.points);
  const [withOwn, withForeign] = [similarity(patch, own.patch), similarity(patch, foreign.patch)];
  if (withOwn === null || withForeign === null) return null;
  return Math.max(withOwn, withForeign) < NEIGHBORS.KNOWN_LOOK ? null : withForeign - withOwn;
}

function exchange(track: Track, other: Track): void {
  [track.trackId, other.trackId] = [other.trackId, track.trackId];
  [track.patch, other.patch] = [other.patch, track.patch];
  [track.shape, other.shape] = [other.shape, track.shape];
}
