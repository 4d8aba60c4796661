"""``mien explain``: which parts of a face determined its predicted expression."""

import json as json_module
from pathlib import Path, PurePath
from typing import Annotated

import numpy as np
import typer

from mien.cli.console import ProgressBar, print_error, printable
from mien.cli.options import JsonFlag, takes_settings
from mien.cli.output_files import ImageFiles
from mien.config import Settings
from mien.errors import InputError, valid_text
from mien.evaluation.explain import MASKS, draw_explanation
from mien.evaluation.explain import explain as explain_image
from mien.media.images import read_image
from mien.pipeline import FacePipeline

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Exit status: 0 all explained, 1 some inputs failed, 2 wrong usage. An explanation "
    "describes the model, not the person."
)
@takes_settings
def explain(
    photographs: Annotated[list[Path], typer.Argument(help="Photographs.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="Folder for the drawings, one per photograph.", metavar="FOLDER")
    ] = Path("explained"),
    masks: Annotated[
        int,
        typer.Option(help="Masks per face; more are more precise and slower.", min=2, max=100_000),
    ] = MASKS,
    seed: Annotated[int, typer.Option(help="Random seed of the masks.", min=0)] = 0,
    json: JsonFlag = False,
    *,
    settings: Settings,
) -> None:
    """Show which parts of each face determined its predicted expression."""
    pipeline = FacePipeline(settings)
    documents, failures = [], 0
    files = ImageFiles(out, "--out", photographs)
    with ProgressBar(len(photographs), "pictures", enabled=not json) as bar:
        for photograph in photographs:
            try:
                image = read_image(photograph, max_megapixels=settings.max_megapixels)
            except InputError as error:
                failures += 1
                bar.hide()
                print_error(str(error))
                continue
            result, explanations = explain_image(image, pipeline, masks=masks, seed=seed)
            drawn = [
                draw_explanation(image, face, explanation)
                for face, explanation in zip(result.faces, explanations, strict=True)
            ]
            path = None
            if drawn:
                path = files.write(np.vstack(drawn), PurePath(f"{photograph.stem}.explained.png"))
            faces = [
                {
                    "box": face.box.to_dict(),
                    "expression": explanation.expression.value,
                    "probability": round(explanation.probability, 4),
                    "parts": {name: round(s, 4) for name, s in explanation.parts.items()},
                }
                for face, explanation in zip(result.faces, explanations, strict=True)
            ]
            documents.append(
                {
                    "source": valid_text(str(photograph)),
                    "drawn": path and valid_text(str(path)),
                    "faces": faces,
                }
            )
            bar.hide()
            if not json:
                typer.echo(printable(f"{photograph}: {path or 'no face'}"))
            bar.advance()
    if json:
        typer.echo(json_module.dumps({"results": documents}, indent=2))
    if failures:
        raise typer.Exit(1)
