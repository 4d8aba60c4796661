"""Make starting weights from the bootstrap model, whose batch norm is folded.

    python tools/import_bootstrap.py bootstrap.onnx faces.npz bootstrap.npz

The bootstrap model is this project's own: import_trunk.py's trunk after twelve epochs on the train
split of FER+ (MODELS.md tells how). Batch norm is put back as in import_trunk.py, and the head for
the eight expressions is kept.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch.nn import functional

from import_trunk import FACES, INPUT_SIZE, MEAN, restore_batch_norm
from mien.training.networks.mobilenet import MobileNetTrunk

WEIGHTS_SHA256 = "d55cadef081ed467b323d8e21b784d5d8abcf00543b9125fdcbd704145515f65"
# The stem's zero padding stands for another grey since three means became one.
TOLERANCE = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("faces", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()

    graph = onnx.load(arguments.model).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    # Of the weights, not of the file, whose metadata tells the measured figures.
    digest = hashlib.sha256(b"".join(constants[name].tobytes() for name in sorted(constants)))
    if digest.hexdigest() != WEIGHTS_SHA256:
        raise SystemExit(
            f"expected weights with SHA-256 {WEIGHTS_SHA256} in {arguments.model}, "
            f"got {digest.hexdigest()}"
        )
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    means = constants["mean"].reshape(-1)

    trunk, affine = MobileNetTrunk(), []
    for layer, node in zip(trunk.layers, convolutions, strict=True):
        weight, bias = constants[node.input[1]], constants[node.input[2]]
        if node is convolutions[0]:
            bias = bias - weight.sum(axis=(2, 3)) @ (means - MEAN)
            weight = weight.sum(axis=1, keepdims=True)
        layer.conv.weight.data = torch.tensor(weight)
        affine.append((np.ones(len(bias), np.float32), bias.astype(np.float32)))

    with np.load(arguments.faces) as data:
        images = data["images"][data["split"] == "train"][:FACES]
    grey = torch.tensor(images, dtype=torch.float32)[:, None]
    grey = functional.interpolate(grey, (INPUT_SIZE, INPUT_SIZE), mode="bilinear")
    restore_batch_norm(trunk, affine, grey - MEAN)

    head = {name: constants[f"m.fc.{name}"] for name in ("weight", "bias")}
    with torch.no_grad():
        features = trunk(grey[:64] - MEAN).numpy()
    restored = features @ head["weight"].T + head["bias"]
    session = onnxruntime.InferenceSession(str(arguments.model))
    original = session.run(None, {"image": grey[:64].numpy()})[0]
    difference = float(np.abs(original - restored).mean())
    print(f"mean difference of a logit {difference:.2e}")
    if difference > TOLERANCE:
        raise SystemExit(f"expected nearly the same function, within {TOLERANCE}")
    state = {f"trunk.{name}": value.numpy() for name, value in trunk.state_dict().items()}
    state |= {f"heads.expression.{name}": value for name, value in head.items()}
    np.savez(arguments.output, **state)


if __name__ == "__main__":
    main()
