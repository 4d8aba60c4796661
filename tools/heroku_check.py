#!/usr/bin/env python3
"""Repeat the steps of Heroku's Python buildpack and check the web process.

Creates an environment from requirements.txt, collects the slug and measures its size, runs the
release and web commands of the Procfile with $PORT, and sends requests over HTTP and from ten
concurrent live clients. Chromium, where it and Playwright are installed, opens the photo page and
finds faces by itself. Does not need a Heroku account::

    python tools/heroku_check.py [--keep FOLDER]
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SLUG_LIMIT_MB = 300
READY_LIMIT_S = 20
MEMORY_LIMIT_MB = 450
LIVE_CLIENTS = 10
DEVICE_LIMIT_S = 120
FRAMES_EACH = 20
TOKEN = "a token for this check only"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--keep", type=Path, help="work in this folder and keep it")
    keep = arguments.parse_args().keep
    folder = Path(keep or tempfile.mkdtemp(prefix="mien-heroku-"))
    try:
        report = check(folder)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=2))
    problems = [
        name
        for name, (value, limit) in {
            "slug_mb": (report["slug_mb"], SLUG_LIMIT_MB),
            "ready_s": (report["ready_s"], READY_LIMIT_S),
            "memory_pss_mb": (report["memory_pss_mb"], MEMORY_LIMIT_MB),
        }.items()
        if value > limit
    ]
    if report["live_results"] != LIVE_CLIENTS * FRAMES_EACH:
        problems.append("live_results")
    if report["device_faces"] not in (None, report["faces"]):
        problems.append("device_faces")
    if problems:
        sys.exit(f"over the limit: {', '.join(problems)}")


def check(folder: Path) -> dict[str, Any]:
    app = folder / "app"
    collect_tree(app)
    python = install(folder, app)
    slug_mb = slug_size_mb(folder)
    procfile = dict(
        line.split(": ", 1) for line in (app / "Procfile").read_text().splitlines() if line
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PORT": str(port),
        "DYNO": "web.1",
        "MIEN_ACCESS_TOKEN": TOKEN,
        "MIEN_SECRET_KEY": "a secret for this check only",
        "WEB_CONCURRENCY": "2",
    }
    subprocess.run(shlex.split(procfile["release"]), cwd=app, env=environment, check=True)
    started = time.monotonic()
    log = (folder / "web.log").open("wb")
    web = subprocess.Popen(
        shlex.split(procfile["web"]), cwd=app, env=environment, stderr=log, stdout=log,
        start_new_session=True,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, web, folder / "web.log")
        ready_s = time.monotonic() - started
        photo = (app / "src/mien/samples/group.jpg").read_bytes()
        faces = len(post(f"{url}/api/v1/analyze", photo)["faces"])
        assert faces == 4, f"expected 4 faces in the sample photograph, got {faces}"
        results = live_clients(python, port, app)
        return {
            "slug_mb": round(slug_mb, 1),
            "ready_s": round(ready_s, 2),
            "faces": faces,
            "live_results": results,
            "memory_pss_mb": round(memory_mb(web.pid), 1),
            "device_faces": device_faces(url, app / "src/mien/samples/group.jpg"),
        }
    finally:
        os.killpg(web.pid, signal.SIGTERM)
        web.wait(20)
        log.close()


def collect_tree(app: Path) -> None:
    """Copy the files in git and the built client, without those in .slugignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True
    ).stdout.decode()
    ignored = tuple((ROOT / ".slugignore").read_text().split())
    for name in filter(None, listed.split("\0")):
        if not name.startswith(ignored) and (ROOT / name).is_file():
            target = app / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    built = ROOT / "src/mien/web/static/dist"
    if not built.is_dir():
        sys.exit("build the browser client first: npm ci && npm run build in client/")
    shutil.copytree(built, app / "src/mien/web/static/dist")


def install(folder: Path, app: Path) -> Path:
    venv = folder / ".heroku/python"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    subprocess.run(
        [str(venv / "bin/pip"), "install", "--quiet", "--no-cache-dir", "-r", "requirements.txt"],
        cwd=app,
        check=True,
    )
    return venv / "bin/python"


def slug_size_mb(folder: Path) -> float:
    slug = folder / "slug.tar.gz"
    with tarfile.open(slug, "w:gz", compresslevel=6) as archive:
        for part in ("app", ".heroku"):
            archive.add(folder / part, part)
    size_mb = slug.stat().st_size / 1e6
    slug.unlink()
    return size_mb


def wait_until_ready(url: str, web: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 3 * READY_LIMIT_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            if web.poll() is not None:
                break
            time.sleep(0.1)
    sys.exit(f"expected the web process to become ready, got:\n{log.read_text()}")


def post(url: str, body: bytes) -> dict[str, list[object]]:
    request = urllib.request.Request(url, body, {"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        document: dict[str, list[object]] = json.load(answer)
        return document


_CLIENT = """
import json, sys
from simple_websocket import Client
port, count, token, path = sys.argv[1:]
data = open(path, "rb").read()
headers = {"Authorization": "Bearer " + token}
client = Client.connect(f"ws://127.0.0.1:{port}/ws/live", headers=headers)
results = 0
for _ in range(int(count)):
    client.send(data)
    results += "faces" in json.loads(client.receive(timeout=30))
client.close()
print(results)
"""


def live_clients(python: Path, port: int, app: Path) -> int:
    """Ten concurrent clients with one pending frame each; returns the number of results."""
    image = str(app / "src/mien/samples/person-a-smiling.jpg")
    command = [str(python), "-c", _CLIENT, str(port), str(FRAMES_EACH), TOKEN, image]
    results: list[int] = []

    def run() -> None:
        done = subprocess.run(command, capture_output=True, check=True, timeout=120)
        results.append(int(done.stdout))

    threads = [threading.Thread(target=run) for _ in range(LIVE_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(results)


def device_faces(url: str, photo: Path) -> int | None:
    """The faces that the photo page finds by itself; None where no browser is installed."""
    chromium = os.environ.get("CHROMIUM", shutil.which("chromium"))
    if not chromium or find_spec("playwright") is None:
        print(
            "The page was not opened: that needs Chromium and Playwright (`make e2e` installs it)."
        )
        return None
    with import_module("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(
            extra_http_headers={"Authorization": f"Bearer {TOKEN}"}
        ).new_page()
        page.set_default_timeout(1000 * DEVICE_LIMIT_S)
        page.goto(f"{url}/photo")
        page.set_input_files("#image", photo)
        page.wait_for_selector(".face")
        engine = page.get_attribute("[data-drop]", "data-engine")
        assert engine == "device", f"expected a result of the device, got one of the {engine}"
        faces = int(page.locator(".face").count())
        browser.close()
    return faces


def memory_mb(leader: int) -> float:
    """Total proportional set size of the server's processes."""
    total = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getpgid(int(entry.name)) == leader:
                lines = (entry / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (ProcessLookupError, FileNotFoundError, PermissionError):
            continue
    return total / 1024


if __name__ == "__main__":
    main()
