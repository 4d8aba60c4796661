"""Many clips into a folder for each, and into tables over all of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mien.errors import MienError, MissingExtraError, SettingError
from mien.media.clips import Clip
from mien.pipeline import FacePipeline
from mien.streaming.face_stream import StreamSettings
from mien.streaming.outputs import VideoOptions, check_unused, locked
from mien.streaming.runner import Application
from mien.streaming.video import VideoOutcome, VideoProgress, analyze_video
from mien.tables.combined import COMBINED_FILES, ClipTables, check_group, write_combined

_TIME_OFFSET_COLUMN = "time_offset_s"
"""The column of a list that holds the time offset of each clip."""


@dataclass(frozen=True, slots=True)
class ClipOutcome:
    """How one clip ended.

    Attributes:
        clip: the clip.
        folder: its subfolder.
        outcome: None where it failed.
        error: why it failed.
    """

    clip: Clip
    folder: Path
    outcome: VideoOutcome | None = None
    error: str = ""

    @property
    def status(self) -> str:
        if self.outcome is None:
            return "failed"
        return "complete" if self.outcome.complete else "partial"


def analyze_videos(
    clips: Sequence[Clip],
    out: Path,
    options: VideoOptions,
    *,
    pipeline: FacePipeline,
    settings: StreamSettings | None = None,
    make_application: Callable[[], Application] | None = None,
    group: str | None = None,
    on_progress: Callable[[Clip, VideoProgress], None] = lambda clip, progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[ClipOutcome]:
    """Analyze clips one after another; one that fails does not stop the others.

    Tables over several clips, a list or a group are written into `out`, unless all clips fail.

    Args:
        clips: see :func:`mien.media.clips.find_clips`.
        out: each clip gets a subfolder with its name.
        options: what is written for each clip.
        pipeline: analyzes the frames.
        settings: how the streams are followed.
        make_application: makes the application of each clip.
        group: column of the clips by whose values ``groups.csv`` sums.
        on_progress: called after each frame.
        should_stop: asked after each frame; True ends the run.

    Yields:
        The outcome of each clip, when it ends.

    Raises:
        SettingError: a folder has the results of an earlier run; nothing is analyzed then.
        MissingExtraError: PyAV, lapx or pyarrow is not installed.
    """
    _check(clips, options, group)
    folders = _folders(clips, out)
    combines = len(clips) > 1 or group is not None or any(clip.columns for clip in clips)
    ended: list[ClipOutcome] = []
    with ExitStack() as stack:
        if combines:
            stack.enter_context(locked(out))
        if not options.resume and not options.overwrite:
            _check_unused(folders, out if combines else None)
        try:
            for clip, folder in zip(clips, folders, strict=True):
                try:
                    outcome = analyze_video(
                        clip,
                        folder,
                        _own_options(clip, options),
                        pipeline=pipeline,
                        settings=settings,
                        application=make_application() if make_application else None,
                        on_progress=lambda now, clip=clip: on_progress(clip, now),  # type: ignore[misc]
                        should_stop=should_stop,
                    )
                except MissingExtraError:
                    raise  # every clip would fail
                except (MienError, OSError) as error:
                    ended.append(ClipOutcome(clip, folder, error=str(error)))
                else:
                    ended.append(ClipOutcome(clip, folder, outcome))
                yield ended[-1]
                if ended[-1].status == "partial" and should_stop():
                    return
        finally:
            # A first run without any result leaves nothing that the next one would have to replace.
            worth_telling = options.resume or options.overwrite or any(one.outcome for one in ended)
            if combines and ended and worth_telling:
                write_combined(out, [_tables(one) for one in ended], group=group)


def _check(clips: Sequence[Clip], options: VideoOptions, group: str | None) -> None:
    if group is not None:
        check_group([clip.columns for clip in clips], group)
    known = {name for clip in clips for name in ("", clip.name, clip.title)}
    unknown = {trial.clip for trial in options.tables.trials} - known
    if unknown:
        raise SettingError(
            f"expected trials of the given clips, got some of {', '.join(sorted(unknown))}: leave "
            f"their rows out, or name clips as in {clips[0].name}"
        )


def _check_unused(folders: Sequence[Path], combined: Path | None) -> None:
    for folder in folders:
        check_unused(folder, resumable=True)
    found = [] if combined is None else [n for n in COMBINED_FILES if (combined / n).exists()]
    if found:
        raise SettingError(
            f"expected a folder without earlier results, but {combined} has {', '.join(found)}: "
            "use --overwrite to replace them, --resume to continue, or another --out"
        )


def _own_options(clip: Clip, options: VideoOptions) -> VideoOptions:
    """The options with the trials and the time offset of one clip."""
    tables = options.tables
    offset = clip.columns.get(_TIME_OFFSET_COLUMN)
    if offset:
        try:
            tables = replace(tables, time_offset_s=float(offset))
        except ValueError:
            raise SettingError(
                f"expected seconds in {_TIME_OFFSET_COLUMN} of {clip.name}, got {offset!r}"
            ) from None
    names = ("", clip.name, clip.title)
    trials = tuple(trial for trial in tables.trials if trial.clip in names)
    return replace(options, tables=replace(tables, trials=trials))


def _tables(ended: ClipOutcome) -> ClipTables:
    return ClipTables(
        ended.clip.name,
        ended.folder,
        ended.status,
        ended.error,
        ended.outcome.warnings if ended.outcome else (),
        ended.clip.columns,
    )


def _folders(clips: Sequence[Clip], out: Path) -> list[Path]:
    """A folder for each clip; those with equal names get a number."""
    taken = {name.casefold() for name in COMBINED_FILES}
    folders = []
    for clip in clips:
        stem = _folder_name(clip)
        name, number = stem, 2
        while name.casefold() in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name.casefold())
        folders.append(out / name)
    return folders


def _folder_name(clip: Clip) -> str:
    """The name of a clip without its extension, after the subfolders of the given folder."""
    name = PurePosixPath(clip.name)
    own = clip.path.name if clip.pictures else clip.path.stem
    inner = () if name.is_absolute() or clip.path.as_posix() == clip.name else name.parts[:-1]
    parts = [part for part in (*inner, own) if part not in ("", ".", "..", "/")]
    return "-".join(parts) or "clip"
