"""Look for known holes in what is installed: Python's packages by pip-audit, Node's by npm audit.

    python tools/audit.py

Fails where a hole is known. Both ask a service on the internet; where it cannot be reached, that is
said, and is no failure: what was not looked at is not known to be broken.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

CLIENT = Path(__file__).resolve().parents[1] / "client"


def answer_of(*command: str, cwd: Path | None = None) -> dict[str, Any] | None:
    """A command's JSON; None where it gave none."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None
    return document


def python_holes() -> list[str] | None:
    """Known holes of the packages of this environment; None where nobody could be asked."""
    command = ("-m", "pip_audit", "--format", "json", "--progress-spinner", "off")
    document = answer_of(sys.executable, *command, "--skip-editable")
    entries = document["dependencies"] if document else []
    asked = [entry for entry in entries if "skip_reason" not in entry]
    if not asked:
        return None
    print(f"Python: {len(asked)} packages looked at, {len(entries) - len(asked)} not")
    return [
        f"{entry['name']} {entry['version']}: {hole['id']}, mended in "
        f"{', '.join(hole['fix_versions']) or 'no version yet'}"
        for entry in asked
        for hole in entry["vulns"]
    ]


def node_holes() -> list[str] | None:
    """Known holes of the client's packages; None where nobody could be asked."""
    if shutil.which("npm") is None:
        return None
    document = answer_of("npm", "audit", "--json", cwd=CLIENT)
    if document is None or "vulnerabilities" not in document:
        return None
    print(f"Node: {document['metadata']['dependencies']['total']} packages looked at")
    return [f"{name}: {hole['severity']}" for name, hole in document["vulnerabilities"].items()]


def main() -> None:
    holes = []
    for kind, found in (("Python", python_holes()), ("Node", node_holes())):
        if found is None:
            print(f"{kind}: not looked at, the service cannot be reached")
        else:
            holes += found
    if holes:
        sys.exit("\n".join(holes))


if __name__ == "__main__":
    main()
