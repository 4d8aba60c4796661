"""Recorded sessions: results over time, written to the database every second."""

import json
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from mien.types import FrameResult
from mien.web.store.database import (
    Database,
    corrections,
    iso,
    new_id,
    now,
    one_line,
    session_chunks,
    sessions,
    shares,
    stored_bytes,
)

_WRITE_EVERY_S = 1.0
# A recording without a new chunk for so long has lost its process.
_LOST_AFTER = timedelta(seconds=30)
_RESUME_WITHIN = timedelta(minutes=10)
# Frames held in memory while the database is unavailable; more are discarded.
_MAX_WAITING = 20_000


class Recording:
    """Writes a stream's results to the database.

    If this process is killed, less than two seconds of results are lost. While the database is
    unavailable, results wait in memory.

    Args:
        start_s: time of the first result in the session, in seconds.
        sequence, frames, next_frame, people: of the results that the session has already.
        max_stored: bytes that all that is stored may have; None for no limit.

    Attributes:
        session_id: the recorded session.
        full: whether results were discarded because the limit is reached; no more are added then.
        deleted: whether the session was deleted meanwhile; no results are added then, either.
        empty: whether the recording ended without a stored result; then there is no session.
    """

    def __init__(
        self,
        database: Database,
        session_id: str,
        *,
        start_s: float = 0.0,
        sequence: int = 0,
        frames: int = 0,
        next_frame: int = 0,
        people: Iterable[int] = (),
        max_stored: int | None = None,
    ) -> None:
        self.session_id = session_id
        self.full = self.deleted = self.empty = False
        self._max_stored = max_stored
        self._database = database
        self._lock = threading.Lock()
        self._waiting: list[dict[str, Any]] = []
        self._sequence = sequence
        self._frames = frames
        self._first_frame = next_frame
        self._people = set(people)
        self._first_person = max(self._people, default=0)
        self._start_s = self._last_s = round(start_s, 4)
        self._first_s: float | None = None
        self._last_frame: int | None = None
        self._wrote_at = time.monotonic()

    def add(self, result: FrameResult) -> bool:
        """Add the next result; returns False for an earlier one, and where there is no room.

        A client that had no answer sends results again.
        """
        with self._lock:
            if self.full or self.deleted or len(self._waiting) >= _MAX_WAITING:
                return False
            timestamp_s = result.timestamp_s or 0.0
            if self._first_s is None:
                self._first_s = timestamp_s
                if (result.frame_index or 0) >= self._first_frame:
                    # The stream of a browser goes on when the server's was opened again.
                    self._first_frame = self._first_person = 0
            at_s = round(self._start_s + timestamp_s - self._first_s, 4)
            is_same = result.frame_index is not None and result.frame_index == self._last_frame
            if is_same or at_s < self._last_s:
                return False
            self._last_s, self._last_frame = at_s, result.frame_index
            document = result.to_dict()
            document["timestamp_s"] = at_s
            # A stream that was opened again counts its frames and people from the start.
            document["frame_index"] = self._first_frame + (result.frame_index or 0)
            for face in document["faces"]:
                if face["track_id"] is not None:
                    face["track_id"] += self._first_person
                    self._people.add(face["track_id"])
            self._frames += 1
            self._waiting.append(document)
            if time.monotonic() - self._wrote_at >= _WRITE_EVERY_S:
                self._write("recording")
            return True

    def finish(self) -> bool:
        """Write the rest and mark the session as complete; returns whether all is stored.

        A session without results is deleted.
        """
        with self._lock:
            return self._write("complete") and not (self.full or self.deleted)

    def _write(self, state: str) -> bool:
        self._wrote_at = time.monotonic()
        # Never the same number twice: a commit that failed may have been applied.
        self._sequence += 1
        lines = "".join(json.dumps(d, separators=(",", ":")) + "\n" for d in self._waiting)
        data = zlib.compress(lines.encode(), 6)
        values: dict[str, Any] = {"state": state, "updated_at": now()}
        try:
            with self._database.begin() as connection:
                if self._waiting:
                    # Not serialized with other writers: each is at most one chunk over the limit.
                    self.full = self._is_over(stored_bytes(connection) + len(data))
                if self._waiting and not self.full:
                    values |= {
                        "frames": self._frames,
                        "people": len(self._people),
                        "duration_s": self._last_s,
                        "size": sessions.c.size + len(data),
                    }
                there = sa.update(sessions).where(sessions.c.id == self.session_id)
                self.deleted = not connection.execute(there.values(**values)).rowcount
                if self._waiting and not (self.full or self.deleted):
                    connection.execute(
                        sa.insert(session_chunks).values(
                            session_id=self.session_id, sequence=self._sequence, data=data
                        )
                    )
                if state == "complete":
                    nothing = sa.delete(sessions).where(
                        sessions.c.id == self.session_id, sessions.c.frames == 0
                    )
                    self.empty = connection.execute(nothing).rowcount > 0
        except SQLAlchemyError:
            return False
        self._waiting.clear()
        return True

    def _is_over(self, stored: int) -> bool:
        return self._max_stored is not None and stored > self._max_stored


class SessionStore:
    """The sessions in a database.

    Args:
        max_stored: bytes that all that is stored may have; recordings end there.
    """

    def __init__(self, database: Database, max_stored: int | None = None) -> None:
        self._database = database
        self._max_stored = max_stored

    def start(self, owner: str, *, name: str, days: int, resume: str = "") -> Recording:
        """Start a session, or go on with one after its connection or its server was lost.

        Args:
            resume: the owner's session to go on with, if its last result is not older than ten
                minutes; otherwise a new one is started. The time that passed becomes a gap.

        Raises:
            SQLAlchemyError: the database is unreachable.
        """
        moment = now()
        if resume and (resumed := self._resumed(owner, resume)) is not None:
            return resumed
        session_id = new_id()
        self._database.execute(
            sa.insert(sessions).values(
                id=session_id,
                owner=owner,
                name=one_line(name, 120) or f"Live, {moment:%d %B %Y, %H:%M} UTC",
                state="recording",
                created_at=moment,
                updated_at=moment,
                expires_at=moment + timedelta(days=days),
                duration_s=0.0,
                frames=0,
                people=0,
            )
        )
        return Recording(self._database, session_id, max_stored=self._max_stored)

    def _resumed(self, owner: str, session_id: str) -> Recording | None:
        moment = now()
        going_on = (
            sa.update(sessions)
            .where(
                sessions.c.id == session_id,
                sessions.c.owner == owner,
                sessions.c.updated_at > moment - _RESUME_WITHIN,
                # An empty one is deleted when its lost stream is closed.
                sessions.c.frames > 0,
            )
            .values(state="recording", updated_at=moment)
        )
        if not self._database.execute(going_on):
            return None
        row = self._database.rows(sa.select(sessions).where(sessions.c.id == session_id))[0]
        last = sa.select(sa.func.max(session_chunks.c.sequence).label("last")).where(
            session_chunks.c.session_id == session_id
        )
        people: set[int] = set()
        next_frame = 0
        for frame in self.read_frames(session_id):
            next_frame = (frame["frame_index"] or 0) + 1
            people.update(f["track_id"] for f in frame["faces"] if f["track_id"] is not None)
        start_s = max(row["duration_s"], (moment - row["created_at"]).total_seconds())
        return Recording(
            self._database,
            session_id,
            start_s=start_s,
            sequence=self._database.rows(last)[0]["last"] or 0,
            frames=row["frames"],
            next_frame=next_frame,
            people=people,
            max_stored=self._max_stored,
        )

    def of_owner(
        self, owner: str, *, words: str = "", offset: int = 0, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """A visitor's sessions, the newest first.

        Args:
            words: only sessions with this text in their name.
        """
        query = sa.select(sessions).where(sessions.c.owner == owner)
        if words:
            query = query.where(sessions.c.name.icontains(words, autoescape=True))
        query = query.order_by(sessions.c.created_at.desc(), sessions.c.id)
        return [_document(row) for row in self._database.rows(query.offset(offset).limit(limit))]

    def find(self, session_id: str, visitor: str) -> dict[str, Any] | None:
        """A session that belongs to the visitor, or to no one."""
        query = sa.select(sessions).where(
            sessions.c.id == session_id, sessions.c.owner.in_(("", visitor))
        )
        return next(map(_document, self._database.rows(query)), None)

    def is_owner(self, session_id: str, visitor: str) -> bool:
        """Whether a session belongs to the visitor, and not to no one."""
        query = sa.select(sessions.c.id).where(sessions.c.id == session_id)
        return bool(visitor and self._database.rows(query.where(sessions.c.owner == visitor)))

    def is_recording(self, owner: str) -> bool:
        """Whether a session of the visitor is being recorded."""
        query = sa.select(sessions.c.id).where(
            sessions.c.owner == owner, sessions.c.state == "recording"
        )
        return bool(self._database.rows(query.limit(1)))

    def read_frames(self, session_id: str) -> Iterator[dict[str, Any]]:
        """A session's FrameResult documents, in order, read chunk by chunk."""
        sequence = -1
        while True:
            query = (
                sa.select(session_chunks.c.sequence, session_chunks.c.data)
                .where(
                    session_chunks.c.session_id == session_id, session_chunks.c.sequence > sequence
                )
                .order_by(session_chunks.c.sequence)
                .limit(1)
            )
            chunks = self._database.rows(query)
            if not chunks:
                return
            sequence = chunks[0]["sequence"]
            for line in zlib.decompress(chunks[0]["data"]).decode().splitlines():
                yield json.loads(line)

    def sample_frames(self, session_id: str, count: int) -> Iterator[dict[str, Any]]:
        """About `count` of a session's FrameResult documents, evenly over its length, in order."""
        numbers = sa.select(session_chunks.c.sequence).where(
            session_chunks.c.session_id == session_id
        )
        known = [row["sequence"] for row in self._database.rows(numbers.order_by("sequence"))]
        step = max(1, len(known) // count)
        each = max(1, count // max(1, len(known)))
        chunks = sa.select(session_chunks.c.data).where(
            session_chunks.c.session_id == session_id,
            session_chunks.c.sequence.in_(known[::step]),
        )
        for row in self._database.rows(chunks.order_by(session_chunks.c.sequence)):
            lines = zlib.decompress(row["data"]).decode().splitlines()
            yield from map(json.loads, lines[:: max(1, len(lines) // each)])

    def rename(self, session_id: str, name: str) -> None:
        """Rename a session."""
        self._database.execute(
            sa.update(sessions).where(sessions.c.id == session_id).values(name=name)
        )

    def delete(self, session_id: str) -> None:
        """Delete a session with all its frames."""
        self._database.execute(sa.delete(sessions).where(sessions.c.id == session_id))

    def delete_all(self, owner: str) -> int:
        """Delete every session of a visitor; returns how many."""
        return self._database.execute(sa.delete(sessions).where(sessions.c.owner == owner))

    def sweep(self) -> None:
        """Delete expired sessions, links and faces; mark those without a process as interrupted."""
        moment = now()
        for table in (sessions, shares, corrections):
            self._database.execute(sa.delete(table).where(table.c.expires_at < moment))
        self._database.execute(
            sa.update(sessions)
            .where(sessions.c.state == "recording", sessions.c.updated_at < moment - _LOST_AFTER)
            .values(state="interrupted")
        )


def _document(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "state": row["state"],
        "created_at": iso(row["created_at"]),
        "duration_s": round(row["duration_s"], 3),
        "frames": row["frames"],
        "people": row["people"],
        "expires_at": iso(row["expires_at"]),
    }
