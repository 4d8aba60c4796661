"""``mien adapt``: an expression model for labels of your own."""

import dataclasses
import json as json_module
from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown

from mien.adaptation import adapt as run_adaptation
from mien.adaptation.report import to_html
from mien.cli.console import ProgressBar, stdout_console
from mien.cli.options import DATA_HELP, LabelingOption, takes_settings
from mien.cli.output_files import HTML_ENDINGS, JSON_ENDINGS, MODEL_ENDINGS, check_outputs
from mien.config import Settings

app = typer.Typer(add_completion=False)

_Crops = Annotated[
    bool | None,
    typer.Option(
        "--crops/--photographs",
        help="Treat the pictures as tight face crops, or as photographs. By default FER2013 and "
        "FER+ are crops and other data are photographs.",
        show_default=False,
    ),
]


@app.command(epilog="How it works, and what to expect: docs/adapting.md.")
@takes_settings
def adapt(
    data: Annotated[Path, typer.Argument(help=DATA_HELP, show_default=False)],
    *,
    out: Annotated[Path, typer.Option(help="ONNX file to write.", metavar="FILE.onnx")],
    crops: _Crops = None,
    labeling: LabelingOption = "ferplus",
    json: Annotated[
        str | None, typer.Option(help="Write all results as JSON; - for stdout.", metavar="FILE")
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Write the results as a page beside the model.")
    ] = False,
    settings: Settings,
) -> None:
    """Adapt a model to labels of your own, with 3 to 500 pictures of each.

    The labels may have any names. The model is written only if it is better than before.
    """
    page = out.with_suffix(HTML_ENDINGS[0])
    check_outputs(
        [
            ("--out", out, MODEL_ENDINGS),
            ("--json", json, JSON_ENDINGS),
            ("--report", page if report else None, HTML_ENDINGS),
        ],
        [data, *dataclasses.astuple(settings)],
    )
    with ProgressBar(None, "pictures") as bar:
        result = run_adaptation(
            data, out, crops=crops, labeling=labeling, settings=settings, progress=bar.set
        )
    document = result.to_dict()
    if report:
        page.write_text(to_html(document), encoding="utf-8")
    if json == "-":
        typer.echo(json_module.dumps(document))
        return
    if json is not None:
        text = json_module.dumps(document, indent=2, ensure_ascii=False)
        Path(json).write_text(text + "\n", encoding="utf-8")
    stdout_console().print(Markdown(result.to_markdown()))
    if result.model is not None:
        typer.echo(f"wrote {result.model}; use it with --model {result.model}")
