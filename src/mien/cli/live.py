"""``mien live``: analyze a camera stream; ``mien report``: what a recording shows, again."""

import json as json_module
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mien.applications import APPLICATIONS, Application, ReplayedRecording, build_application
from mien.cli import video as option
from mien.cli.console import PlainConsole, graceful_stop, print_json, print_warning, printable
from mien.cli.options import (
    DrawOption,
    JsonFlag,
    NeutralOption,
    NeutralTrackOption,
    parse_draw,
    takes_settings,
)
from mien.cli.output_files import check_folder
from mien.config import Settings
from mien.errors import SettingError, counted
from mien.media.camera import CameraSource
from mien.media.sources import PacedSource, Source
from mien.media.video import VideoSource
from mien.recording import FRAMES_FILE, Recording, RecordingSink
from mien.report import write_report
from mien.streaming import FaceStream, Sink, Step, outputs, run
from mien.streaming.background import Counter
from mien.streaming.receivers import EventDispatcher, OscSink, command, webhook
from mien.tables import write_tables
from mien.tracking import Event
from mien.types import TrackStatistics

app = typer.Typer(add_completion=False)
report_app = typer.Typer(add_completion=False)

_Camera = Annotated[
    str,
    typer.Option(
        help="Camera index, a URL such as rtsp://…, or a video file, which plays in real time."
    ),
]
_Record = Annotated[
    Path | None,
    typer.Option(
        help="Write the annotated video, the results, tables and a report to this folder.",
        metavar="FOLDER",
    ),
]
_BlurFaces = Annotated[
    bool, typer.Option("--blur-faces", help="Blur the detected faces in the recording.")
]
_Webhook = Annotated[
    str | None,
    typer.Option("--webhook", help="Post each event as JSON to this URL.", metavar="URL"),
]
_OnEvent = Annotated[
    str | None,
    typer.Option(
        help="Run this command for each event, with the event as JSON on stdin.", metavar="COMMAND"
    ),
]
_Osc = Annotated[
    str | None,
    typer.Option(
        help="Send the blendshapes of the largest face to this address, for avatars (OSC, VMC "
        "protocol); implies --blendshapes.",
        metavar="HOST:PORT",
    ),
]
_Application = Annotated[
    str | None,
    typer.Option(
        help=f"Rules for one use, with events of their own: {', '.join(APPLICATIONS)}.",
        metavar="NAME",
    ),
]
_Baseline = Annotated[
    bool,
    typer.Option(
        "--baseline", help="Use each person's resting face, seen at the start, as neutral."
    ),
]
_Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Delete an earlier recording in the folder.")
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Start the camera without confirmation.")]
_Duration = Annotated[
    float, typer.Option(help="Stop after this time in seconds; 0: no limit.", min=0)
]


@app.command(
    "live",
    epilog="Nothing is saved without --record. Expressions are apparent: what a face shows, not "
    "what a person feels. Exit status: 0 also where Ctrl-C stops it, 1 no camera, 2 invalid usage.",
)
@takes_settings
def _live(
    camera: _Camera = "0",
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document per line.")] = False,
    record: _Record = None,
    overwrite: _Overwrite = False,
    draw: DrawOption = None,
    blur_faces: _BlurFaces = False,
    webhook_url: _Webhook = None,
    on_event: _OnEvent = None,
    osc: _Osc = None,
    application: _Application = None,
    baseline: _Baseline = False,
    neutral: NeutralOption = None,
    neutral_track: NeutralTrackOption = 0,
    duration: _Duration = 0,
    yes: _Yes = False,
    settings: Settings,
) -> None:
    """Analyze a camera stream and print the results."""
    check_folder(record, "--record", outputs.RESULT_FILES, [camera, neutral])
    layers, settings = parse_draw(draw, settings, None if record else "--record FOLDER")
    rules = build_application(application) if application else None
    avatars = [] if osc is None else [OscSink(osc)]
    if avatars:
        settings = settings.with_blendshapes()
    receivers = [webhook(webhook_url)] if webhook_url is not None else []
    receivers += [command(on_event)] if on_event is not None else []
    screen = _Screen(rules, json=json)
    source = _source(camera, screen.show_state)
    follower = FaceStream(
        *option.open_pipeline(
            rules, settings, baseline=baseline, neutral=neutral, neutral_track=neutral_track
        )
    )
    if isinstance(source, CameraSource) and not yes:
        _ask(source.info.name)
    if rules is not None:
        screen.print(f"{rules.name}: {rules.limits}")
    options = outputs.VideoOptions(blur_faces=blur_faces, draw=layers, overwrite=overwrite)
    dispatcher = EventDispatcher(
        receivers, on_failure=lambda reason: screen.print(f"event not delivered: {reason}")
    )
    dropped = Counter()
    with ExitStack() as stack:
        recording = None if record is None else _recording(stack, record, source, follower, options)
        if record is not None and rules is not None:
            stack.callback(outputs.write_application, record, rules)
        sinks = [*avatars, *_sinks(record, options, recording)]
        stack.callback(dispatcher.close)
        stack.enter_context(screen)
        steps = stack.enter_context(
            closing(run(source, follower, sinks=sinks, on_event=dispatcher, dropped=dropped))
        )
        should_stop = stack.enter_context(graceful_stop(screen.is_waiting))
        try:
            for step, events in _with_rules(steps, rules, recording, dispatcher):
                screen.show(step, events, dropped.value)
                if should_stop():
                    screen.print("stopped")
                    break
                if duration and step.frame.timestamp_s >= duration:
                    break
        except KeyboardInterrupt:
            screen.print("stopped")
    for warning in follower.warnings_at_end():
        screen.print(f"Warning: {warning}")
    if rules is not None:
        screen.print(json_module.dumps(rules.summary()))


def _with_rules(
    steps: Iterable[Step],
    rules: Application | None,
    recording: RecordingSink | None,
    dispatcher: EventDispatcher,
) -> Iterator[tuple[Step, list[Event]]]:
    """The steps with their events and those that the rules find, which are recorded and sent."""
    for step in steps:
        found = [] if rules is None else rules.update(step.result, step.events)
        for event in found:
            dispatcher(event)
        if recording is not None:
            recording.add_events(found)
        yield step, [*step.events, *found]


def _recording(
    stack: ExitStack,
    folder: Path,
    source: Source,
    follower: FaceStream,
    options: outputs.VideoOptions,
) -> RecordingSink:
    """The recording in a folder that is held, and completed, until the end of the stack."""
    stack.enter_context(outputs.locked(folder))
    if options.overwrite:
        outputs.delete_results(folder)
    outputs.check_unused(folder)
    stack.callback(outputs.write_outputs, folder, options)
    return RecordingSink(folder, outputs.new_state(source.info, follower))


def _sinks(
    folder: Path | None, options: outputs.VideoOptions, recording: RecordingSink | None
) -> list[Sink]:
    if folder is None or recording is None:
        return []
    return outputs.recording_sinks(folder, options, recording, resumable=False)


def _source(camera: str, on_state: Callable[[str], None]) -> Source:
    if re.fullmatch(r"-?\d{1,20}", camera):
        return CameraSource(int(camera), on_state=on_state)
    if "://" in camera:
        return CameraSource(camera, on_state=on_state)
    return PacedSource(VideoSource(Path(camera)))


def _ask(name: str) -> None:
    """Ask for confirmation before opening a camera."""
    if not sys.stdin.isatty():
        raise SettingError(
            f"expected --yes to start {name} without a terminal, got no confirmation"
        )
    typer.confirm(
        f"Start {name}? Everyone in view must be informed and agree", abort=True, err=True
    )


class _Screen:
    """The terminal output: a table of faces and the latest events."""

    def __init__(self, application: Application | None, *, json: bool) -> None:
        self._json = json
        self._application = application
        self._console = PlainConsole(stderr=json)
        self._live: Live | None = None
        self._events: deque[Event] = deque(maxlen=6)
        self._times: deque[float] = deque(maxlen=60)
        self._state = ""

    def __enter__(self) -> "_Screen":
        if not self._json and self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, *problem: object) -> None:
        if self._live is not None:
            self._live.stop()

    def is_waiting(self) -> bool:
        """Whether there was no result for a second, because the camera is not open."""
        return not self._times or time.monotonic() - self._times[-1] > 1.0

    def print(self, words: str) -> None:
        """Print a permanent line on stderr."""
        if self._live is not None:
            self._live.console.print(printable(words))
        else:
            PlainConsole(stderr=True).print(printable(words), soft_wrap=True)

    def show_state(self, state: str) -> None:
        """Report that the camera was lost or reconnected."""
        if state != self._state and (self._state or state != "open"):
            messages = {"lost": "camera disconnected, waiting", "open": "camera reconnected"}
            if state in messages:
                self.print(messages[state])
        self._state = state

    def show(self, step: Step, events: list[Event], dropped: int) -> None:
        """Show one result."""
        for warning in step.result.warnings:
            self.print(f"Warning: {warning}")
        self._times.append(time.monotonic())
        self._events.extend(events)
        if self._json:
            print_json(step.result.to_dict(), indent=None)
        elif self._live is not None:
            self._live.update(Group(self._table(step), self._footer(dropped)))
        else:
            for event in events:
                print_json(event.to_dict(), indent=None)

    def _table(self, step: Step) -> Table:
        table = Table(expand=True)
        for name in ("track", "expression", "share", "raw", "facing", "eyes", "PERCLOS"):
            table.add_column(name)
        for face in step.result.faces:
            scores, raw, track = face.expression, face.expression_raw, face.track
            signals = face.signals
            sure = track is not None and track.state == "clear"
            label = scores.label.value if scores else "–"
            table.add_row(
                str(face.track_id),
                label if sure or track is None else f"{label} ({track.state})",
                f"{scores[scores.label]:.0%}" if scores else "–",
                raw.top.value if raw else "–",
                f"{signals.facing:.2f}" if signals and signals.facing is not None else "–",
                _eyes_word(track),
                f"{track.perclos:.0%}" if track and track.perclos is not None else "–",
            )
        return table

    def _footer(self, dropped: int) -> Text:
        span_s = self._times[-1] - self._times[0] if len(self._times) > 1 else 0.0
        rate = (len(self._times) - 1) / span_s if span_s > 0 else 0.0
        lines = [f"{rate:.1f} frames per second, {dropped} dropped; Ctrl-C stops"]
        lines += [
            f"{event.timestamp_s:8.2f} s  person {event.track_id}: {event.kind} "
            + " ".join(str(value) for value in event.details.values())
            for event in self._events
            if event.kind != "track_ended"
        ]
        return Text("\n".join(lines))


def _eyes_word(track: TrackStatistics | None) -> str:
    if track is None or track.eyes_closed_s is None:
        return "–"
    return "closed" if track.eyes_closed_s > 0 else "open"


@report_app.command("report", epilog="Exit status: 0 written, 1 not a recording, 2 invalid usage.")
def _report(
    recording: Annotated[
        Path,
        typer.Argument(
            help="Folder with frames.jsonl from `mien video` or `mien live --record`.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Output folder.", metavar="FOLDER", show_default=False)],
    video: Annotated[
        Path | None,
        typer.Option(
            help="Video for the report. Default: the annotated video, if it exists.",
            exists=True,
            dir_okay=False,
            metavar="FILE",
        ),
    ] = None,
    application: option.ApplicationName = None,
    landmark_table: option.LandmarkTable = False,
    parquet: option.Parquet = False,
    trials: option.Trials = None,
    time_offset: option.TimeOffset = 0.0,
    overwrite: option.Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Create the tables and the report of a recording."""
    check_folder(out, "--out", outputs.RESULT_FILES, [video, trials])
    options = option.table_options(parquet, landmark_table, trials, time_offset)
    found = ReplayedRecording(recording, application) if application else Recording(recording)
    state = found.state()
    names = ("", state.title, recording.name)
    with (recording / FRAMES_FILE).open("rb") as file:
        lines = sum(1 for _ in file)
    for warning in state.warnings:
        print_warning(f"{recording}: {warning}")
    if lines < state.frames:
        print_warning(
            f"{recording}: {FRAMES_FILE} has {lines:,} of the {counted(state.frames, 'frame')} of "
            "the run: tables and report show only these"
        )
    options = replace(options, trials=tuple(t for t in options.trials if t.clip in names))
    with outputs.locked(out):
        if not (out / FRAMES_FILE).exists() or not out.samefile(recording):
            if overwrite:
                outputs.delete_results(out)
            outputs.check_unused(out)
        tracks = write_tables(found, out, options)
        if isinstance(found, ReplayedRecording):
            outputs.write_application(out, found.application)
        write_report(found, out, video=video)
    report_file = out / "report.html"
    if json:
        document = {"recording": str(recording), "report": str(report_file), "tracks": tracks}
        print_json(document, indent=None)
    else:
        typer.echo(printable(f"{recording}: {counted(tracks, 'track')}: {report_file}"))
