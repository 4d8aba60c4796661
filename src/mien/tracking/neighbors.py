"""Faces that pass each other: how they looked before decides which track is whose."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from mien.tracking.motion import face_patch, similarity
from mien.tracking.track import Observation, Track
from mien.types import Image

# Heads cover each other at this distance, in face sizes. A patch may then show parts of both.
_BESIDE = 1.2
# What they looked like is kept for this long after they have parted.
_KEPT_S = 2.0
# A face must look like one of the two, and the faces together by this much more like their own or
# the other track. Patches of one person seconds apart have 0.8 and more, of two people 0 to 0.9.
_KNOWN_LOOK, _BETTER = 0.8, 0.1
_SURE_PRESENCE = 0.9


def note_neighbors(tracks: Sequence[Track], timestamp_s: float) -> None:
    """Remember which tracks are so near to each other that their faces may be confused.

    Args:
        tracks: those in view.
        timestamp_s: of the frame.
    """
    for track, other in combinations(tracks, 2):
        if track.motion.distance(other.motion.box, track.motion.timestamp_s) < _BESIDE:
            track.beside, other.beside = other.key, track.key
            track.beside_s = other.beside_s = timestamp_s


def is_beside(track: Track, timestamp_s: float) -> bool:
    """Whether the face is near to another one, or was, and may be that."""
    return track.beside is not None and timestamp_s - track.beside_s <= _KEPT_S


def likeness(image: Image | None, seen: Observation, track: Track) -> float | None:
    """Correlation of a face with the last whole look of a track; None where one is unknown."""
    return None if image is None else similarity(face_patch(image, seen.landmarks), track.patch)


def untangle(
    image: Image, owners: Sequence[tuple[Track, Observation]], tracks: Sequence[Track], now: float
) -> None:
    """Exchange the track IDs of two faces that have passed each other, if they look so.

    Args:
        image: the frame.
        owners: the faces in it, with their tracks.
        tracks: all tracks, also those of hidden faces.
        now: time of the frame.
    """
    seen_by_key = {track.key: seen for track, seen in owners}
    by_key = {track.key: track for track in tracks}
    for track, other in _parted(owners, by_key, now):
        pairs = ((track, other), (other, track))
        found = [
            _gain(image, seen_by_key[own.key], own, foreign)
            for own, foreign in pairs
            if own.key in seen_by_key
        ]
        gains = [gain for gain in found if gain is not None]
        if abs(sum(gains)) < _BETTER:
            continue
        if sum(gains) > 0:
            _exchange(track, other)
        track.beside = None
        if len(found) == 2:
            other.beside = None


def _parted(
    owners: Sequence[tuple[Track, Observation]], by_key: dict[int, Track], now: float
) -> Iterator[tuple[Track, Track]]:
    """Pairs of tracks that were near to each other and are no longer, the first of them in view."""
    for track, _ in owners:
        other = by_key.get(track.beside or 0)
        if other is None or track.track_id is None or other.track_id is None:
            continue
        if track.beside_s < now and is_beside(track, now):
            yield track, other


def _gain(image: Image, seen: Observation, own: Track, foreign: Track) -> float | None:
    """How much better a face fits another track than its own; None while it is not seen well."""
    if seen.landmarks is None or (seen.landmarks.presence or 0.0) < _SURE_PRESENCE:
        return None
    patch = face_patch(image, seen.landmarks)
    with_own, with_foreign = similarity(patch, own.patch), similarity(patch, foreign.patch)
    if with_own is None or with_foreign is None or max(with_own, with_foreign) < _KNOWN_LOOK:
        return None
    return with_foreign - with_own


def _exchange(track: Track, other: Track) -> None:
    track.track_id, other.track_id = other.track_id, track.track_id
    track.patch, other.patch = other.patch, track.patch
    track.shape, other.shape = other.shape, track.shape
