"""The command ``mien``: parse, build, call, print; no logic."""


def main() -> None:
    """Run the command line; exits with the status that docs/cli.md tells."""
    from mien.cli.app import app

    app(prog_name="mien")
