"""Check dependencies for known vulnerabilities: Python with pip-audit, Node with npm audit.

    python tools/audit.py

Fails if a vulnerability is known. Both tools query an online service. If it is unreachable, the
check is skipped with a message and does not fail.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

CLIENT = Path(__file__).resolve().parents[1] / "client"


def json_output(*command: str, cwd: Path | None = None) -> dict[str, Any] | None:
    """The JSON output of a command; None if it has none."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None
    return document


def python_vulnerabilities() -> list[str] | None:
    """Vulnerabilities of the packages in this environment; None if the service is unreachable."""
    command = ("-m", "pip_audit", "--format", "json", "--progress-spinner", "off")
    document = json_output(sys.executable, *command, "--skip-editable")
    entries = document["dependencies"] if document else []
    checked = [entry for entry in entries if "skip_reason" not in entry]
    if not checked:
        return None
    print(f"Python: {len(checked)} packages checked, {len(entries) - len(checked)} skipped")
    return [
        f"{entry['name']} {entry['version']}: {vulnerability['id']}, fixed in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for entry in checked
        for vulnerability in entry["vulns"]
    ]


def node_vulnerabilities() -> list[str] | None:
    """Vulnerabilities of the client's packages; None if the service is unreachable."""
    if shutil.which("npm") is None:
        return None
    document = json_output("npm", "audit", "--json", cwd=CLIENT)
    if document is None or "vulnerabilities" not in document:
        return None
    print(f"Node: {document['metadata']['dependencies']['total']} packages checked")
    return [f"{name}: {facts['severity']}" for name, facts in document["vulnerabilities"].items()]


def main() -> None:
    problems = []
    for kind, found in (("Python", python_vulnerabilities()), ("Node", node_vulnerabilities())):
        if found is None:
            print(f"{kind}: skipped, the service is unreachable")
        else:
            problems += found
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
