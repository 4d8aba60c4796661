"""Make an expression model from a network and heads that were distilled on its features.

    python tools/mix_heads.py transfer.onnx --valid ferplus.npz
    python tools/mix_heads.py plain.onnx --small ferplus=1 --sharp ferplus=1
    python benchmarks/domains.py domains.toml --models transfer plain.onnx

A head is a linear layer on the 1,024 pooled features of `transfer`: the one that was trained on
FER+'s votes (`ferplus`), and three that `tools/distill_heads.py` trained to predict what other
networks answer: `intel` (Intel's emotions-recognition-retail-0003), `opencv` (OpenCV Zoo's
MobileFaceNet) and `world` (a mixture of these and `ferplus`). A weighted sum of the logarithms of
their probabilities is one linear layer again. The model has two such mixtures, and a gate between
them that looks at how sharp the crop is: FER+'s pictures have 48 pixels, and what its votes say
about them is worth less on sharper pictures. A mixture of experts with a fixed gate, after Jacobs
et al., "Adaptive mixtures of local experts", 1991. It costs what the network alone costs.

docs/experiments.md lists what the mixtures reach and how the defaults were chosen.
"""

import argparse
import dataclasses
import hashlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from mien.evaluation import calibration
from mien.evaluation.figures import figures
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import resolve_prior, softmax
from mien.runtime import catalog
from mien.runtime.spec import EMBEDDING, METADATA_KEY, sidecar_path, spec_to_json
from mien.types import ModelSpec

Array = npt.NDArray[np.float64]
Mixture = tuple[Array, Array]

HEADS_FILE = Path(__file__).resolve().parent / "heads.npz"
HEADS = ("ferplus", "intel", "opencv", "world")
FERPLUS_PRIOR = (0.35748, 0.28821, 0.11649, 0.1247, 0.08328, 0.00429, 0.02059, 0.00496)
SMALL = "ferplus=0.8,opencv=0.2"
SHARP = "ferplus=0.25,opencv=0.4,intel=0.35"

# The sharp mixture is less sure, and keeps a little less of FER+'s shares than the small one.
_SHARP_TEMPERATURE, _SHARP_PRIOR = 1.2, 0.6
# Logistic regression of FER+ against photographs (lfw-more) on the logarithm of how much stronger
# the finest details are than those of the picture at half its size, moved toward FER+ by 0.7.
_GATE_SLOPE, _GATE_CENTER, _GATE_FLOOR = -19.0, -0.877, 0.02
_SMOOTHED = np.outer([1, 2, 1], [1, 2, 1]) / 16


def main() -> None:
    """Write the model and its sidecar."""
    options = _parse()
    small, sharp = parse_shares(options.small), parse_shares(options.sharp)
    entry = catalog.find(options.base)
    model = onnx.load(entry.path)
    replace_head(model, entry.spec, mixtures(small, sharp))
    write(model, mixed_spec(entry.spec, options.output, small, sharp), options.output)
    if options.valid:
        write(model, measured(options.output, options.valid), options.output)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", type=Path, help="ONNX file to write, beside it the sidecar")
    parser.add_argument("--small", default=SMALL, help="weights of the heads on small pictures")
    parser.add_argument("--sharp", default=SHARP, help="and on sharp ones")
    parser.add_argument("--base", default="transfer", help="model with the features")
    parser.add_argument("--valid", type=Path, help="FER+, to measure the result on")
    return parser.parse_args()


def parse_shares(text: str) -> dict[str, float]:
    """Weights such as ``ferplus=0.7,opencv=0.3``, which sum to 1."""
    shares = {name: float(share) for name, share in (part.split("=") for part in text.split(","))}
    if not shares.keys() <= set(HEADS) or abs(sum(shares.values()) - 1) > 1e-6:
        sys.exit(f"expected weights of {', '.join(HEADS)} that sum to 1, got {text}")
    return shares


def mixtures(small: Mapping[str, float], sharp: Mapping[str, float]) -> dict[str, Mixture]:
    """``(8, 1024)`` weights and ``(8,)`` biases of one mixture, or of both if they differ."""
    with np.load(HEADS_FILE) as stored:
        heads = {name: (stored[f"{name}_weight"], stored[f"{name}_bias"]) for name in HEADS}
    made = {"head": mix(heads, small)}
    if sharp != small:
        made["sharp"] = _sharp_mixture(heads, sharp, small.get("ferplus", 0.0))
    return made


def mix(
    heads: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]], shares: Mapping[str, float]
) -> Mixture:
    """The weighted sum of the heads' weights and biases.

    What is common to all labels is taken out, which changes no probability and keeps the numbers
    small enough for float16.
    """
    weight, bias = (
        sum(np.asarray(heads[name][part], np.float64) * share for name, share in shares.items())
        for part in (0, 1)
    )
    return np.asarray(weight - np.mean(weight, axis=0)), np.asarray(bias - np.mean(bias))


def _sharp_mixture(
    heads: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    shares: Mapping[str, float],
    power: float,
) -> Mixture:
    """Without FER+'s shares, tempered, and with about as much of them as the other mixture has."""
    weight, bias = mix(heads, shares)
    logs = np.log(FERPLUS_PRIOR)
    bias = (bias - shares.get("ferplus", 0.0) * logs) / _SHARP_TEMPERATURE
    bias = bias + min(_SHARP_PRIOR, power) * logs
    return weight / _SHARP_TEMPERATURE, bias - bias.mean()


def replace_head(model: onnx.ModelProto, spec: ModelSpec, linear: Mapping[str, Mixture]) -> None:
    """End a network with one linear layer, or with two and the gate between them."""
    graph = model.graph
    kept = _needed(graph.node, EMBEDDING)
    used = {name for node in kept for name in node.input}
    weights = [tensor for tensor in graph.initializer if tensor.name in used]
    tail = []
    for name, (weight, bias) in linear.items():
        weights += [
            numpy_helper.from_array(weight.astype(np.float16), f"{name}.weight_fp16"),
            numpy_helper.from_array(bias.astype(np.float32), f"{name}.bias"),
        ]
        names = [EMBEDDING, f"{name}.weight", f"{name}.bias"]
        output = "logits" if len(linear) == 1 else f"{name}.logits"
        tail += [
            helper.make_node(
                "Cast", [f"{name}.weight_fp16"], [names[1]], to=onnx.TensorProto.FLOAT
            ),
            helper.make_node("Gemm", names, [output], transB=1),
        ]
    if len(linear) == 2:
        nodes, constants = _gate(spec.input.name)
        tail += nodes
        weights += [
            numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
        ]
    del graph.node[:], graph.initializer[:]
    graph.node.extend([*kept, *tail])
    graph.initializer.extend(weights)
    onnx.checker.check_model(model, full_check=True)


def _needed(nodes: Iterable[onnx.NodeProto], output: str) -> list[onnx.NodeProto]:
    """The nodes that a value depends on, in their order."""
    wanted, kept = {output}, []
    for node in reversed(list(nodes)):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return kept[::-1]


def _gate(image: str) -> tuple[list[onnx.NodeProto], dict[str, npt.NDArray[np.generic]]]:
    """``logits = sharp + g * (small - sharp)`` with g near 1 on pictures of few pixels.

    Details are what differs from the weighted mean of a pixel and its eight neighbors.
    """
    details = -_SMOOTHED
    details[1, 1] += 1
    constants: dict[str, npt.NDArray[np.generic]] = {
        f"gate.{name}": np.array(value, np.float32)
        for name, value in (
            ("details", details[None, None]),
            ("floor", _GATE_FLOOR),
            ("slope", _GATE_SLOPE),
            ("center", _GATE_CENTER),
        )
    }
    constants["gate.axes"] = np.array([2, 3], np.int64)
    half = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [helper.make_node("AveragePool", [image], ["gate.half"], **half)]
    for name, source in (("full", image), ("of_half", "gate.half")):
        at = f"gate.{name}"
        nodes += [
            helper.make_node("Conv", [source, "gate.details"], [f"{at}.details"]),
            helper.make_node("Abs", [f"{at}.details"], [f"{at}.size"]),
            helper.make_node("ReduceMean", [f"{at}.size", "gate.axes"], [f"{at}.mean"], keepdims=0),
            helper.make_node("Add", [f"{at}.mean", "gate.floor"], [f"{at}.floored"]),
            helper.make_node("Log", [f"{at}.floored"], [f"{at}.log"]),
        ]
    nodes += [
        helper.make_node("Sub", ["gate.full.log", "gate.of_half.log"], ["gate.sharpness"]),
        helper.make_node("Sub", ["gate.sharpness", "gate.center"], ["gate.distance"]),
        helper.make_node("Mul", ["gate.distance", "gate.slope"], ["gate.logit"]),
        helper.make_node("Sigmoid", ["gate.logit"], ["gate.share"]),
        helper.make_node("Sub", ["head.logits", "sharp.logits"], ["gate.difference"]),
        helper.make_node("Mul", ["gate.share", "gate.difference"], ["gate.added"]),
        helper.make_node("Add", ["sharp.logits", "gate.added"], ["logits"]),
    ]
    return nodes, constants


def mixed_spec(
    base: ModelSpec, output: Path, small: Mapping[str, float], sharp: Mapping[str, float]
) -> ModelSpec:
    """The spec of the result; what was measured on the base does not hold for it.

    The heads are calibrated already. Only the FER+ head has the shares of FER+ in its
    probabilities, so the mixture has the part of them that its weight says.
    """
    prior = np.array(FERPLUS_PRIOR) ** small.get("ferplus", 0.0)
    texts = [", ".join(f"{name} {share:g}" for name, share in s.items()) for s in (small, sharp)]
    mixed = texts[0] if texts[0] == texts[1] else f"{texts[0]}; on sharp pictures {texts[1]}"
    origin = base.source.partition("; last layer")[0]
    data = base.training_data.partition("; answers of other")[0]
    return dataclasses.replace(
        base,
        name=output.stem,
        file=output.name,
        sha256=None,
        version="2",
        source=f"{origin}; last layer mixed from heads: {mixed} (Intel Open Model Zoo and "
        "OpenCV Zoo as teachers, Apache-2.0)",
        temperature=1.0,
        training_prior=tuple(round(float(share), 5) for share in prior / prior.sum()),
        uncertain_below=0.0,
        training_data=f"{data}; answers of other networks on these and on photographs from LFW",
        metrics={},
    )


def measured(path: Path, data: Path) -> ModelSpec:
    """The spec with the uncertainty threshold and figures of FER+ valid. Nothing is fitted."""
    from mien.pipeline import FacePipeline
    from mien.training.dataset import load_training_data
    from mien.training.recipe import load_recipe, recipe_path

    entry = catalog.find(path)
    recipe = load_recipe(recipe_path("transfer"))
    pipeline = FacePipeline(model="direct", prior="natural")
    crops, truth = load_training_data(data, recipe, pipeline, crops=None, seed=0).valid.measured()
    spec = entry.spec
    logits = NeuralClassifier(entry, prior="natural").logits(crops).astype(np.float64)
    natural = softmax(logits)
    _, log_ratio = resolve_prior("default", spec)
    own = softmax(logits + (0 if log_ratio is None else log_ratio))
    rule = calibration.uncertain_threshold(own, truth)
    by_prior = {
        "natural": figures(natural, truth),
        spec.prior: figures(own, truth),
        "uniform": figures(natural, truth, spec.training_prior),
    }
    metrics = {
        "accuracy": by_prior["natural"].accuracy,
        "macro_f1": by_prior["natural"].macro_f1,
        "ece": by_prior["natural"].ece,
        f"accuracy_{spec.prior}": by_prior[spec.prior].accuracy,
        f"ece_{spec.prior}": by_prior[spec.prior].ece,
        "error_at_80_coverage": rule["error_covered"],
    } | {f"balanced_accuracy_{name}": f.balanced_accuracy for name, f in by_prior.items()}
    return dataclasses.replace(
        spec,
        uncertain_below=round(rule["threshold"], 4),
        metrics={f"ferplus_valid_{name}": round(float(v), 4) for name, v in metrics.items()},
    )


def write(model: onnx.ModelProto, spec: ModelSpec, path: Path) -> None:
    spec = dataclasses.replace(spec, sha256=None)
    helper.set_model_props(model, {METADATA_KEY: spec_to_json(spec)})
    content = model.SerializeToString(deterministic=True)
    path.write_bytes(content)
    described = dataclasses.replace(spec, sha256=hashlib.sha256(content).hexdigest())
    sidecar_path(path).write_text(spec_to_json(described), encoding="utf-8")


if __name__ == "__main__":
    main()
