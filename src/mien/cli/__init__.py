"""The command ``mien``: parse options, call the library, print results."""


def main() -> None:
    """Run the command line. docs/cli.md lists the exit statuses."""
    from mien.cli.app import app

    app(prog_name="mien")
