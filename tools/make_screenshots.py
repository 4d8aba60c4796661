"""Take screenshots of all pages of the web application, to review changes.

Needs a built client, Chromium and Playwright::

    python tools/make_screenshots.py /tmp/screenshots
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
CLIP = ROOT / "src/mien/web/static/sample.mp4"
PORT = 8123
URL = f"http://127.0.0.1:{PORT}"
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
# Position in the clip where one person smiles and the other one does not yet.
CLIP_POSITION_MS = 11_500


@contextmanager
def running_server() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "MIEN_DATA_DIR": folder}
        command = [sys.executable, "-m", "mien", "serve", "--port", str(PORT), "--camera", CLIP]
        server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            for _ in range(300):
                try:
                    urllib.request.urlopen(f"{URL}/readyz", timeout=5).close()
                    break
                except (urllib.error.URLError, OSError):
                    time.sleep(0.2)
            yield
        finally:
            server.terminate()
            server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("CHROMIUM", shutil.which("chromium"))
    with running_server(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for theme in ("light", "dark"):
            for size, (width, height) in SIZES.items():
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=theme
                )
                context.set_default_timeout(120_000)
                page = context.new_page()
                screenshot_pages(page, folder, f"{size}-{theme}")
                context.close()
        browser.close()


def screenshot_pages(page: Any, folder: Path, tag: str) -> None:
    def screenshot(name: str, *, full_page: bool = True) -> None:
        page.screenshot(path=folder / f"{name}-{tag}.png", full_page=full_page)

    page.goto(URL)
    page.wait_for_selector("[data-start]:enabled")
    screenshot("consent")
    page.click("[data-start-clip]")
    page.wait_for_selector(".person")
    page.click("[data-record]")
    page.wait_for_timeout(CLIP_POSITION_MS)
    page.wait_for_selector(".person[data-expression='happiness']")
    screenshot("live")
    page.click("[data-record]")
    page.wait_for_selector("[data-toast]:has-text('in your sessions')")
    page.goto(f"{URL}/photo")
    screenshot("photo-empty")
    page.click("button[value='group.jpg']")
    page.wait_for_selector(".result")
    screenshot("photo")
    page.goto(f"{URL}/video")
    page.set_input_files("#video", CLIP)
    page.fill("input[name=every]", "4")
    screenshot("video")
    page.click("button:has-text('Analyze')")
    page.wait_for_selector("[data-state]:has-text('done')")
    page.wait_for_selector("iframe.report")
    page.wait_for_timeout(1500)
    screenshot("job")
    page.goto(f"{URL}/sessions")
    screenshot("sessions")
    page.click(".rows h3 a")
    page.wait_for_selector("[data-replay]:visible")
    screenshot("session")
    page.goto(f"{URL}/camera", wait_until="domcontentloaded")
    page.wait_for_selector(".person")
    page.wait_for_timeout(2000)
    screenshot("camera")
    for name in ("docs", "about"):
        page.goto(f"{URL}/{name}")
        screenshot(name, full_page=False)


if __name__ == "__main__":
    main()
