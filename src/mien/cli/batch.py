"""``mien batch``: analyze many images and videos on several processes or machines.

``mien summarize``: shares of expressions over the output.
"""

import contextlib
import json as json_module
import os
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from mien.cli.console import (
    graceful_stop,
    print_error,
    print_json,
    print_warning,
    printable,
    stdout_console,
    text_progress,
)
from mien.cli.options import JsonFlag, takes_settings
from mien.cli.output_files import check_outputs
from mien.cluster.engine import Resources
from mien.cluster.output import Progress, batch_status
from mien.cluster.run import run_batch
from mien.cluster.segments import SEGMENT_S
from mien.cluster.summary import overview_page
from mien.cluster.summary import summarize as sums
from mien.cluster.worker import BatchOptions
from mien.config import Settings
from mien.errors import SettingError, counted

app = typer.Typer(add_completion=False)
summarize_app = typer.Typer(add_completion=False)

_where = partial(typer.Option, rich_help_panel="Where it runs")
_MAX_WARNINGS = 20

_Sources = Annotated[
    list[str] | None,
    typer.Argument(
        help="Folders, patterns, tables (CSV, Parquet) with a column uri, lists (.txt), tar "
        "shards, images and videos; as paths or addresses such as s3://bucket/folder. "
        "`status FOLDER` shows the state of a run.",
        metavar="SOURCE...",
        show_default=False,
    ),
]
_Out = Annotated[
    str | None, typer.Option(help="Output folder or address.", metavar="FOLDER", show_default=False)
]
_Address = Annotated[
    str,
    _where(
        help="local starts Ray here; auto uses a running cluster if there is one; ray://host:10001 "
        "or host:6379."
    ),
]
_Workers = Annotated[
    int,
    _where(help="Number of worker processes; 0: as many as the CPUs allow.", min=0, max=100_000),
]
_Cpus = Annotated[float, _where(help="CPUs for each worker.", min=0.1)]
_Gpus = Annotated[float, _where(help="GPUs for each worker.", min=0.0)]
_MetricsPort = Annotated[
    int,
    _where(
        help="Port of Prometheus metrics, where Ray is started for the run; 0: a free one.",
        min=0,
        max=65_535,
    ),
]
_LogJson = Annotated[
    bool, typer.Option("--log-json", help="One line of JSON on stderr for each event, and no bar.")
]
_Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")]
_BatchSize = Annotated[
    int | None,
    typer.Option(
        help="Images that a worker analyzes and commits at once. Default: up to 256.",
        min=1,
        max=100_000,
        show_default=False,
    ),
]
_Fps = Annotated[
    float, typer.Option(help="Analyze at most this number of frames per second.", min=0.0)
]
_Segment = Annotated[
    float,
    typer.Option(
        help="Longer videos are divided among the workers into segments of this length in seconds, "
        "unless their recordings are kept; 0: never.",
        min=0.0,
    ),
]
_Annotate = Annotated[
    bool, typer.Option("--annotate", help="Keep the recording and annotated video of each video.")
]
_Blur = Annotated[bool, typer.Option("--blur-faces", help="Like --annotate, with blurred faces.")]
_Report = Annotated[
    bool, typer.Option("--report", help="Keep the recording and the report of each video.")
]


@app.command(
    "batch",
    epilog="Exit status: 0 all analyzed, 1 some inputs failed, 2 invalid usage, 130 interrupted: "
    "continue with --resume. "
    "Expressions are apparent: what a face shows, not what a person feels.",
)
@takes_settings
def _batch(
    sources: _Sources = None,
    *,
    out: _Out = None,
    address: _Address = "local",
    workers: _Workers = 0,
    cpus_per_worker: _Cpus = 1.0,
    gpus_per_worker: _Gpus = 0.0,
    metrics_port: _MetricsPort = 0,
    batch_size: _BatchSize = None,
    resume: _Resume = False,
    fps: _Fps = 0.0,
    segment: _Segment = SEGMENT_S,
    annotate: _Annotate = False,
    blur_faces: _Blur = False,
    report: _Report = False,
    log_json: _LogJson = False,
    json: JsonFlag = False,
    settings: Settings,
) -> None:
    """Analyze many images and videos on several processes or machines."""
    sources = sources or []
    if out is None:
        if len(sources) != 2 or sources[0] != "status":
            raise SettingError("expected --out FOLDER for the tables, got none")
        _print(batch_status(sources[1]), sources[1], json=json)
        return
    # Ray prints about dead workers to standard output; the run warns of them itself.
    with (
        contextlib.nullcontext(_Log()) if log_json else _Bar() as shown,
        graceful_stop() as should_stop,
        open(os.devnull, "w") as ray_output,
        contextlib.redirect_stdout(ray_output),
    ):
        document = run_batch(
            sources,
            out,
            settings=settings,
            resources=Resources(address, workers, cpus_per_worker, gpus_per_worker, metrics_port),
            options=BatchOptions(
                annotate=annotate,
                blur_faces=blur_faces,
                report=report,
                fps=fps,
                part_size=batch_size,
                segment_s=segment,
                resume=resume,
            ),
            on_progress=shown.show,
            on_warning=shown.warn,
            should_stop=should_stop,
        )
    _print(document, out, json=json)
    if document["status"] != "complete":
        print_error("interrupted: use the same command with --resume to continue")
        raise typer.Exit(130)
    if document["failed"]:
        raise typer.Exit(1)


def _print(document: dict[str, Any], out: str, *, json: bool) -> None:
    if json:
        print_json(document)
    else:
        _print_sums(document, out)
    for error in document["errors"]:
        print_error(error)
    if more := document["failed"] - len(document["errors"]):
        print_error(f"{more} more inputs failed: see {out.rstrip('/')}/failures/")
    if document["status"] == "interrupted":
        print_error("the run was killed: use --resume to continue it")


def _print_sums(document: dict[str, Any], out: str) -> None:
    done, planned = document["inputs"], document["inputs_planned"]
    # A shard is one planned input with many images.
    of_planned = f" of {planned}" if done <= planned else ""
    typer.echo(
        f"{document['status']}: {done}{of_planned} input{'s' * (planned != 1)} "
        f"({document['failed']} failed), "
        f"{counted(document['faces'], 'face')}, {document['seconds']:.0f} s: {out}"
    )


class _Bar:
    """Progress on stderr: a bar on a terminal, else the warnings only."""

    def __init__(self) -> None:
        self._bar = text_progress()
        self._task = self._bar.add_task("parts", total=None, text="finding inputs")
        self._started: float | None = None
        self._warnings = 0

    def __enter__(self) -> "_Bar":
        self._bar.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._bar.stop()
        if self._warnings > _MAX_WARNINGS:
            print_warning(f"{self._warnings - _MAX_WARNINGS} more warnings")

    def show(self, now: Progress) -> None:
        """Show the progress of the run."""
        if self._started is None:
            self._started = time.monotonic()
            if now.dashboard:
                self._bar.console.print(f"Ray dashboard: http://{now.dashboard}")
        done = now.counts["inputs"]
        rate = (done - now.resumed) / max(time.monotonic() - self._started, 1e-6)
        text = f"{done} inputs, {rate:.1f}/s, {now.counts['failures']} failed"
        self._bar.update(self._task, total=now.parts_total, completed=now.parts, text=text)

    def warn(self, message: str) -> None:
        """Print a warning, unless there are many."""
        self._warnings += 1
        if self._warnings <= _MAX_WARNINGS:
            print_warning(message)


class _Log:
    """Progress on stderr as lines of JSON, for programs."""

    def show(self, now: Progress) -> None:
        """Write that the run goes on, or that a part is complete."""
        so_far = {"parts": now.parts, "parts_total": now.parts_total, "counts": now.counts}
        if now.part.get("part"):
            self._write("part", **now.part, so_far=so_far)
        else:
            self._write("started", dashboard=now.dashboard, resumed=now.resumed, so_far=so_far)

    def warn(self, message: str) -> None:
        """Write a warning."""
        self._write("warning", message=message)

    def _write(self, event: str, **facts: Any) -> None:
        time_ = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json_module.dumps({"time": time_, "event": event, **facts}, ensure_ascii=False)
        typer.echo(line, err=True)


@summarize_app.command(
    "summarize", epilog="Expressions are apparent: what a face shows, not what a person feels."
)
def _summarize(
    out: Annotated[str, typer.Argument(help="Output folder of `mien batch`.", show_default=False)],
    group: Annotated[
        str | None,
        typer.Option(
            help="Column to group by, of the table that named the inputs.", metavar="COLUMN"
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write a page with plots to this file.", metavar="FILE")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Summarize the output of a batch: shares of expressions, quality, failures."""
    check_outputs([("--html", html, "page")], [out])
    found = sums(out, group=group)
    if html is not None:
        try:
            html.write_text(overview_page(found, Path(out).name or out), encoding="utf-8")
        except OSError as error:
            raise SettingError(
                f"expected --html to be a file that can be written, got {html}: {error.strerror}"
            ) from None
    if json:
        print_json(found)
        return
    run, console = found["run"], stdout_console()
    console.print(
        f"{run['status']}: {counted(run['inputs'], 'input')} ({run['failed']} failed), "
        f"{counted(run['faces'], 'face')}"
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("Group", "Expression", "Faces", "Share", "95 % interval"):
        table.add_column(title)
    for row in found["shares"]:
        interval = f"{row['low']:.1%} to {row['high']:.1%}"
        cells = (row["expression"], str(row["faces"]), f"{row['share']:.1%}", interval)
        table.add_row(*map(printable, (str(row["group"] or ""), *cells)))
    console.print(table)
    for row in found["failures"]:
        console.print(printable(f"{row['inputs']} failed: {row['error']}"))
