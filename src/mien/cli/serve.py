"""``mien serve``, the web application, and ``mien export-site``, a site without a server."""

from pathlib import Path
from typing import Annotated

import typer

from mien.web.config import WebConfig
from mien.web.server import serve as serve_web

app = typer.Typer(add_completion=False)
export_app = typer.Typer(add_completion=False)


@app.command(
    "serve",
    epilog="Environment variables: MIEN_ACCESS_TOKEN, MIEN_PUBLIC, MIEN_SECRET_KEY, "
    "MIEN_DATA_DIR, PORT, DATABASE_URL, MIEN_JOBS; the page 'Web application' of the "
    "documentation explains them.",
)
def _serve(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on. Default: 127.0.0.1.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port to listen on. Default: 8000.", show_default=False, min=0, max=65_535
        ),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(help="Show a server-side camera: index, rtsp:// URL or video file."),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            help="Processes: a number, or auto for one for each core. Default: 1.",
            show_default=False,
        ),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Allow access without a token.")] = False,
) -> None:
    """Start the web application: live camera, photos, videos and sessions."""
    config = WebConfig.from_environment(
        host=host, port=port, camera=camera, workers=workers, public=True if public else None
    )
    serve_web(config, lambda url: typer.echo(f"Serving mien on {url}", err=True))


@export_app.command("export-site")
def _export_site(
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
    # The server is to serve from a process that has not imported onnxruntime.
    from mien.web.site import export_site as write_site

    files = write_site(folder, model=model, prior=prior)
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    typer.echo(
        f"{folder}: {len(files)} files, {megabytes:.0f} MB. Serve it over HTTPS, or try: "
        f"python -m http.server --directory {folder} --bind 127.0.0.1"
    )
