"""``mien serve``: the web application."""

from typing import Annotated

import typer

from mien.web.config import WebConfig
from mien.web.server import serve as serve_web

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Environment variables: MIEN_ACCESS_TOKEN, MIEN_PUBLIC, MIEN_SECRET_KEY, "
    "MIEN_DATA_DIR, PORT, DATABASE_URL, MIEN_JOBS; see docs/web.md."
)
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on.", show_default="8000", min=0, max=65_535)
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(help="Show a server-side camera: index, rtsp:// URL or video file."),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(help="Processes: a number, or auto for one for each core.", show_default="1"),
    ] = None,
    public: Annotated[
        bool,
        typer.Option("--public", help="Allow access without a token."),
    ] = False,
) -> None:
    """Start the web application: live camera, photos, videos and sessions."""
    config = WebConfig.from_environment(
        host=host, port=port, camera=camera, workers=workers, public=True if public else None
    )
    serve_web(config, lambda url: typer.echo(f"Serving mien on {url}", err=True))
