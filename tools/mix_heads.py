"""Make an expression model from `transfer` and heads that were distilled on its features.

    python tools/mix_heads.py mixed.onnx --weights ferplus=0.7,opencv=0.3
    python benchmarks/domains.py domains.toml --models transfer mixed.onnx

Each head is a linear layer on the 1,024 pooled features of `transfer`: its own, trained on FER+
(`ferplus`), and three that `tools/distill_heads.py` trained to predict what other networks answer:
`intel` (Intel's emotions-recognition-retail-0003), `opencv` (OpenCV Zoo's MobileFaceNet) and
`world` (a mixture of these and `ferplus`). A weighted sum of the logarithms of their probabilities
is one linear layer again, so the result costs what `transfer` costs. docs/experiments.md lists what
the mixtures reach.
"""

import argparse
import dataclasses
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from mien.runtime import catalog
from mien.runtime.spec import METADATA_KEY, sidecar_path, spec_to_json
from mien.types import ModelSpec

Array = npt.NDArray[np.float64]

BASE = "transfer"
HEADS_FILE = Path(__file__).resolve().parent / "heads.npz"
HEADS = ("ferplus", "intel", "opencv", "world")
WEIGHT, BIAS = "head.weight_fp16", "head.bias"


def main() -> None:
    """Write the model and its sidecar."""
    options = _parse()
    shares = parse_shares(options.weights)
    entry = catalog.find(BASE)
    model = onnx.load(entry.path)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    weight, bias = (numpy_helper.to_array(tensors[name]) for name in (WEIGHT, BIAS))
    with np.load(HEADS_FILE) as stored:
        heads = {name: (stored[f"{name}_weight"], stored[f"{name}_bias"]) for name in HEADS[1:]}
    temperature = entry.spec.temperature
    heads["ferplus"] = weight / np.float64(temperature), bias / np.float64(temperature)
    weight, bias = mix(heads, shares)
    tensors[WEIGHT].CopyFrom(numpy_helper.from_array(weight.astype(np.float16), WEIGHT))
    tensors[BIAS].CopyFrom(numpy_helper.from_array(bias.astype(np.float32), BIAS))
    spec = mixed_spec(entry.spec, options.output, shares)
    onnx.helper.set_model_props(model, {METADATA_KEY: spec_to_json(spec)})
    content = model.SerializeToString(deterministic=True)
    options.output.write_bytes(content)
    described = dataclasses.replace(spec, sha256=hashlib.sha256(content).hexdigest())
    sidecar_path(options.output).write_text(spec_to_json(described), encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", type=Path, help="ONNX file to write, beside it the sidecar")
    parser.add_argument("--weights", default="ferplus=0.7,opencv=0.3", help="of the heads")
    return parser.parse_args()


def parse_shares(text: str) -> dict[str, float]:
    """Weights such as ``ferplus=0.7,opencv=0.3``, which sum to 1."""
    shares = {name: float(share) for name, share in (part.split("=") for part in text.split(","))}
    if not shares.keys() <= set(HEADS) or abs(sum(shares.values()) - 1) > 1e-6:
        sys.exit(f"expected weights of {', '.join(HEADS)} that sum to 1, got {text}")
    return shares


def mix(
    heads: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]], shares: Mapping[str, float]
) -> tuple[Array, Array]:
    """The weighted sum of the heads' weights and biases.

    What is common to all labels is taken out, which changes no probability and keeps the numbers
    small enough for float16.
    """
    weight, bias = (
        sum(np.asarray(heads[name][part], np.float64) * share for name, share in shares.items())
        for part in (0, 1)
    )
    return np.asarray(weight - np.mean(weight, axis=0)), np.asarray(bias - np.mean(bias))


def mixed_spec(base: ModelSpec, output: Path, shares: Mapping[str, float]) -> ModelSpec:
    """The spec of the result; what was measured on the base does not hold for it.

    The heads are calibrated already. Only the FER+ head has the shares of FER+ in its
    probabilities, so the mixture has the part of them that its weight says.
    """
    own = shares.get("ferplus", 0.0)
    prior = np.asarray(base.training_prior, np.float64) ** own
    parts = ", ".join(f"{name} {share:g}" for name, share in shares.items())
    return dataclasses.replace(
        base,
        name=output.stem,
        file=output.name,
        sha256=None,
        source=f"{base.source}; last layer mixed from heads: {parts} (Intel Open Model Zoo and "
        "OpenCV Zoo as teachers, Apache-2.0)",
        temperature=1.0,
        training_prior=tuple(round(float(share), 5) for share in prior / prior.sum()),
        uncertain_below=0.0,
        training_data=f"{base.training_data}; teachers' answers also on photographs from LFW",
        metrics={},
    )


if __name__ == "__main__":
    main()
