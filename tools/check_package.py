"""Build the wheel and the sdist, install the wheel into a new environment, and test it there.

    python tools/check_package.py [--python python3.12]

Checks the result of `pip install mien`: the sizes of the wheel and the installed base, that neither
torch nor TensorFlow is installed, that `import mien` is fast, and that the command line and
the library analyze the sample images without the repository and without a network. Then installs
the lowest versions that pyproject.toml allows, with the oldest Python, and uses pictures, videos
and the web application with these.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

WHEEL_LIMIT_MB = 30
BASE_LIMIT_MB = 450
IMPORT_LIMIT_S = 0.5
ROOT = Path(__file__).resolve().parent.parent

_SMOKE = """
import json, sys
import mien
from mien.samples import sample_paths
results = {path.stem: mien.analyze(path) for path in sample_paths()}
print(json.dumps({name: [face.expression.top for face in r] for name, r in results.items()}))
assert not {"torch", "tensorflow", "flask"} & set(sys.modules)
"""

_SMOKE_WEB = """
import pathlib, sys
from mien.web.app import create_app
from mien.web.config import WebConfig
client = create_app(WebConfig(data_dir=pathlib.Path(sys.argv[1]))).test_client()
assert client.get("/").status_code == 200
picture = open(sys.argv[2], "rb").read()
answer = client.post("/api/v1/analyze", data=picture, content_type="image/jpeg")
print(answer.status_code, len(answer.json["faces"]))
"""


def run(*command: object, **options: object) -> str:
    """Run a command and return its output; exit if it fails."""
    finished = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    if finished.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{finished.stdout}\n{finished.stderr}")
    return finished.stdout


def folder_size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def check(fits: bool, fact: str) -> None:
    print(f"{'ok  ' if fits else 'FAIL'}  {fact}")
    if not fits:
        sys.exit(1)


def lowest_versions() -> list[str]:
    """Each requirement of the base and of the extra `web` with its lowest version, for pip."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["video"], *extras["web"]]
    names = [re.sub(r"\[.*\]", "", one) for one in wanted if not one.startswith("mien")]
    return [one.replace(">=", "==") + ".*" for one in names]


def check_lowest_versions(wheel: Path, work: Path) -> None:
    """Use pictures, videos and the web application with the lowest versions of what they need."""
    oldest = shutil.which("python3.11")
    venv = [oldest or "", "-m", "venv", work / "oldest"]
    if oldest is None or subprocess.run(venv, capture_output=True, check=False).returncode:
        print("skip  lowest versions: they need python3.11 with venv")
        return
    python, mien = work / "oldest/bin/python", work / "oldest/bin/mien"
    (work / "lowest.txt").write_text("\n".join(lowest_versions()), "utf-8")
    run(python, "-m", "pip", "install", "--quiet", "-c", work / "lowest.txt", f"{wheel}[web]")
    outside = {"cwd": work, "env": {**os.environ, "MIEN_DATA_DIR": str(work / "data")}}
    package = next((work / "oldest").rglob("mien/samples")).parent
    run(mien, "image", "--help", **outside)
    run(mien, "image", package / "samples", "--json", **outside)
    clip = package / "web/static/sample.mp4"
    run(mien, "video", clip, "--out", "video", "--fps", 5, "--no-annotate", **outside)
    group = package / "samples/group.jpg"
    answer = run(python, "-c", _SMOKE_WEB, work / "web", group, **outside).strip()
    check(answer == "200 4", f"lowest versions: pictures, a video, the web application ({answer})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="interpreter of the environment")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        run(sys.executable, "-m", "build", "--outdir", work / "dist", ROOT)
        (wheel,) = (work / "dist").glob("*.whl")
        (sdist,) = (work / "dist").glob("*.tar.gz")
        megabytes = wheel.stat().st_size / 1e6
        check(megabytes < WHEEL_LIMIT_MB, f"wheel: {megabytes:.1f} MB of {WHEEL_LIMIT_MB}")
        with tarfile.open(sdist) as archive:
            names = archive.getnames()
        check(any(entry.endswith("src/mien/py.typed") for entry in names), "sdist: complete")
        with zipfile.ZipFile(wheel) as archive:
            catalogs = [entry for entry in archive.namelist() if entry.endswith(".po")]
        check(len(catalogs) == 5, f"wheel: message catalogs of {len(catalogs)} languages")

        run(options.python, "-m", "venv", work / "venv")
        python = work / "venv" / "bin" / "python"
        empty_mb = folder_size_mb(work / "venv")
        run(python, "-m", "pip", "install", "--quiet", wheel)
        megabytes = folder_size_mb(work / "venv") - empty_mb
        check(megabytes < BASE_LIMIT_MB, f"installed base: {megabytes:.0f} MB of {BASE_LIMIT_MB}")
        installed = run(python, "-m", "pip", "list").lower()
        check("torch" not in installed and "tensorflow" not in installed, "no torch, no TensorFlow")

        # Outside of the repository, so that none of its files are used.
        outside = {"cwd": work, "env": {**os.environ, "MIEN_DATA_DIR": str(work / "data")}}
        timing = "import time; t = time.perf_counter(); import mien; print(time.perf_counter() - t)"
        seconds = min(float(run(python, "-c", timing, **outside)) for _ in range(5))
        check(seconds < IMPORT_LIMIT_S, f"import mien: {seconds:.3f} s of {IMPORT_LIMIT_S}")
        found = json.loads(run(python, "-c", _SMOKE, **outside))
        expected = ["happiness", "neutral", "happiness", "neutral"]
        check(found["group"] == expected, f"library: {found['group']}")
        samples = next((work / "venv").rglob("mien/samples"))
        document = json.loads(run(work / "venv/bin/mien", "image", samples, "--json", **outside))
        check(len(document["results"]) == len(found), f"command line: {len(found)} images")
        run(work / "venv/bin/mien", "models", "check", **outside)
        check(True, "models: checksums match")
        check_lowest_versions(wheel, work)


if __name__ == "__main__":
    main()
