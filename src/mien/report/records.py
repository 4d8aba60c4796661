"""What a report is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mien.report.bins import TrackBins
from mien.report.thumbnails import Thumbnail


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What is known of a recording and of how it was analyzed.

    Attributes:
        title: of the page, as a rule the file's name.
        size_wh: of the frames.
        frame_rate: frames per second, if known.
        models: the name of the model behind each step.
        notes: further lines for "How this was made".
    """

    title: str
    size_wh: tuple[int, int] | None = None
    frame_rate: float | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class TrackRecord:
    """What a report shows of one track.

    Attributes:
        first_s, last_s: when it was seen.
        bins: its course.
        thumbnail: its picture, if wanted.
        summary: its row of the table of tracks, once it is over.
        transitions: how often its label went from one to another.
    """

    first_s: float
    last_s: float
    bins: TrackBins = field(default_factory=TrackBins)
    thumbnail: Thumbnail | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    transitions: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything that a page shows.

    Attributes:
        facts: of the recording.
        tracks: by track_id.
        labels: of the expression model, by name, in its order.
        width_s: of the bins.
        end_s: time of the last frame.
        frames: how many were analyzed.
        left_out: tracks that are not shown.
        complete: False where the analysis was stopped before the end.
        video_start_s: which time of the recording the page's video shows first.
    """

    facts: ReportFacts
    tracks: Mapping[int, TrackRecord]
    labels: tuple[str, ...]
    width_s: float
    end_s: float
    frames: int
    left_out: int
    complete: bool
    video_start_s: float = 0.0
