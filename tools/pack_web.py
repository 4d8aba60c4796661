"""Make the npm package of the browser library, after `npm run build` in client/.

    python tools/pack_web.py [--out out]

The package has the library, its types, the networks with their specs, and onnxruntime's files.
"""

import argparse
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from mien.runtime.spec import spec_to_json
from mien.web.site import networks

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "client/mien-web"
BUILT = ROOT / "src/mien/web/static/dist/device"


def assemble(folder: Path) -> None:
    """Write the content of the package.

    Raises:
        SystemExit: the library is not built.
    """
    compiler = ROOT / "client/node_modules/.bin/tsc"
    for needed in (BUILT / "mien-web.js", compiler):
        if not needed.is_file():
            raise SystemExit(f"expected {needed}: run npm ci and npm run build in client/")
    for name in ("mien-web.js", "mien-camera.js", "mien-worker.js", "mien-decoder.js"):
        shutil.copy(BUILT / name, folder)
    models = folder / "models"
    # Servers of static files compress by themselves.
    plain = shutil.ignore_patterns("*.br")
    shutil.copytree(BUILT / "runtime", models / "runtime", ignore=plain)
    shutil.copytree(SOURCE / "examples", folder / "examples")
    for name, entry in networks().items():
        shutil.copy(entry.path, models)
        (models / f"{name}.json").write_text(spec_to_json(entry.spec), encoding="utf-8")
    for path in (
        SOURCE / "package.json",
        SOURCE / "README.md",
        SOURCE / "react.d.ts",
        ROOT / "LICENSE",
        ROOT / "NOTICE",
    ):
        shutil.copy(path, folder)
    subprocess.run(
        [compiler, "--project", SOURCE / "tsconfig.json", "--outDir", folder / "types"],
        cwd=ROOT / "client", check=True,
    )  # fmt: skip
    # Some compilers ask for the ends of names.
    for path in (folder / "types").rglob("*.d.ts"):
        text = path.read_text(encoding="utf-8")
        path.write_text(
            re.sub(r'((?:from|import\()\s*"\.[^"]+)"', r'\1.js"', text), encoding="utf-8"
        )


def main() -> None:
    """Assemble, pack, print the file's name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "out")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        assemble(Path(folder))
        packed = subprocess.run(
            ["npm", "pack", "--silent", "--pack-destination", out.resolve()],
            cwd=folder, check=True, capture_output=True, text=True,
        )  # fmt: skip
    print(out / packed.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
