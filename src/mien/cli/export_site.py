"""``mien export-site``: a static site that analyzes images in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from mien.web.site import export_site as write_site

app = typer.Typer(add_completion=False)


@app.command()
def export_site(
    folder: Annotated[
        Path, typer.Argument(help="New or empty folder, or an earlier export.", metavar="DIR")
    ],
    model: Annotated[
        str, typer.Option(help="Expression network: its name, or a file such as an adapted one.")
    ] = "default",
    prior: Annotated[
        str, typer.Option(help="As in mien image: natural, half, uniform, or a JSON file.")
    ] = "default",
) -> None:
    """Write a site for any static host: camera, photographs and videos, in the browser alone."""
    files = write_site(folder, model=model, prior=prior)
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    typer.echo(
        f"{folder}: {len(files)} files, {megabytes:.0f} MB. Serve it over HTTPS, or try: "
        f"python -m http.server --directory {folder} --bind 127.0.0.1"
    )
