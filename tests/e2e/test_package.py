"""The npm package mien-web, packed and served by a host that does not isolate pages."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mien.samples import sample_paths

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    command = [sys.executable, str(ROOT / "tools/pack_web.py"), "--out", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT)
    (file,) = folder.glob("mien-web-*.tgz")
    assert file.stat().st_size < 13e6
    subprocess.run(["tar", "--extract", "--file", file, "--directory", folder], check=True)
    return folder / "package"


@pytest.fixture
def host(packed: Path, serve_folder: Any) -> Any:
    return serve_folder(packed)


def test_example_of_a_photograph(browser: Any, host: Any, open_page: Any) -> None:
    page = open_page(browser, host, "/examples/photo.html")
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("crossOriginIsolated") is False
    portrait = next(path for path in sample_paths() if path.stem == "person-a-smiling")
    page.set_input_files("input", portrait)
    page.wait_for_selector("p:has-text('happiness')")
    assert page.problems == []


def test_example_of_a_camera(browser: Any, host: Any, open_page: Any) -> None:
    page = open_page(browser, host, "/examples/camera.html")
    page.click("button")
    page.wait_for_selector("p:has-text('happiness')")
    # It goes on where the page moves it.
    page.evaluate(
        "document.querySelector('p').textContent = '';"
        "document.body.append(document.querySelector('mien-camera'))"
    )
    page.wait_for_selector("p:has-text('happiness')")
    page.evaluate("document.querySelector('mien-camera').remove()")
    page.wait_for_function("!document.querySelector('mien-camera')")
    assert page.problems == []


def test_example_in_react_is_built_and_runs(
    browser: Any, packed: Path, serve_folder: Any, open_page: Any, tmp_path: Path
) -> None:
    """As in a project that has installed React and the package."""
    project = tmp_path / "project"
    shutil.copytree(packed / "examples/react", project)
    modules = project / "node_modules"
    modules.mkdir()
    (modules / "mien-web").symlink_to(packed)
    for name in ("react", "react-dom", "scheduler"):
        (modules / name).symlink_to(ROOT / "client/node_modules" / name)
    subprocess.run(["npx", "vite", "build", project], check=True, cwd=ROOT / "client")
    (project / "dist/models").symlink_to(packed / "models")
    page = open_page(browser, serve_folder(project / "dist"))
    page.click("button")
    page.wait_for_selector("p:has-text('happiness')")
    assert page.problems == []


@pytest.mark.parametrize("module", ["esnext", "node16"])
def test_types_need_no_other_package(packed: Path, tmp_path: Path, module: str) -> None:
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "page.ts").write_text(
        'import { Mien, type FrameResult } from "mien-web"; import "mien-web/camera";\n'
        'const mien = await Mien.create({ assets: "/models/" });\n'
        "const { faces }: FrameResult = await mien.analyze(new ImageData(1, 1));\n"
        'const camera = document.querySelector("mien-camera")!;\n'
        'camera.addEventListener("result", ({ detail }) => faces.push(...detail.faces));\n'
    )
    (tmp_path / "node_modules").mkdir()
    shutil.copytree(packed, tmp_path / "node_modules/mien-web")
    compiler = ROOT / "client/node_modules/.bin/tsc"
    command: list[str | Path] = [
        compiler,
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        module,
    ]
    resolution = {"esnext": "bundler"}.get(module, module)
    more = ["--moduleResolution", resolution, "--lib", "es2022,dom,dom.iterable"]
    # Here, where the compiler finds no types of other packages.
    subprocess.run([*command, *more, "page.ts"], check=True, cwd=tmp_path)


def test_camera_says_what_the_browser_lacks(browser: Any, host: Any, open_page: Any) -> None:
    without = "WebAssembly.validate = () => false"
    page = open_page(browser, host, "/examples/camera.html", init_script=without)
    page.click("button")
    page.wait_for_selector("p:has-text('expected WebAssembly with SIMD')")


def test_camera_says_that_access_was_denied(launch: Any, host: Any, open_page: Any) -> None:
    page = open_page(launch("--deny-permission-prompts"), host, "/examples/camera.html")
    page.click("button")
    page.wait_for_selector("p:not(:empty)")
    page.wait_for_selector("button:visible")
