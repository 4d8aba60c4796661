"""The verifier's network and its training."""

import time
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from samples import MARGIN, SIZE, Samples
from torch import Tensor, nn
from torch.nn import functional

from mien.runtime.spec import read_sidecar, sidecar_path

_BATCH, _RATE, _DECAY = 96, 2e-3, 1e-2
# Targets of faces, of covered mouths and of covered eyes.
_WEIGHTS = (1.0, 0.7, 0.7)
_SMOOTH = 0.02
_REFINE_RATE = 6e-4
# The logit of a presence of 0.9.
_SURE_PRESENCE = 2.2
EVIDENCE = (0.3, 0.25)
"""What a unit of the score's and of the presence's logit adds to that of a face."""
# Share of the samples without evidence, so that the picture is looked at.
_UNKNOWN_EVIDENCE = 0.15
_NOISE = np.random.default_rng(0).standard_normal(1 << 20, np.float32)


class VerifierNetwork(nn.Module):
    """Four convolutions, and a layer that knows where in the face something is."""

    def __init__(self) -> None:
        super().__init__()
        widths = ((1, 16, 2), (16, 32, 2), (32, 64, 2), (64, 80, 1))
        parts: list[nn.Module] = []
        for before, after, stride in widths:
            parts += [
                nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.trunk = nn.Sequential(*parts)
        self.narrow = nn.Sequential(nn.Conv2d(80, 16, 1), nn.ReLU())
        self.hidden = nn.Linear(16 * (SIZE // 8) ** 2, 40)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(40, 3)
        # Not learned: the hard samples would make it too small for the usual face.
        self.register_buffer("evidence", torch.tensor(EVIDENCE))

    def forward(self, image: Tensor) -> Tensor:
        found = self.narrow(self.trunk(image)).flatten(1)
        logits: Tensor = self.head(self.dropout(functional.relu(self.hidden(found))))
        return logits

    @torch.no_grad()
    def adjust(self, limits: list[float], slope: float) -> None:
        """Make limits of the logits 0, and multiply that of a face."""
        self.head.bias -= torch.tensor(limits)
        self.head.weight[0] *= slope
        self.head.bias[0] *= slope
        self.evidence *= slope

    def with_evidence(self, image: Tensor, evidence: Tensor) -> Tensor:
        """The logits, that of a face with the evidence."""
        return self(image) + functional.pad(evidence @ self.evidence[:, None], (0, 2))


def read_network(path: Path) -> VerifierNetwork:
    """The network of an exported file, in whose convolutions the normalizations are folded."""
    graph = onnx.load(path).graph
    stored = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    sources = {output: node.input[0] for node in graph.node for output in node.output}

    def value(name: str) -> Tensor:
        while name not in stored:  # weights of 16 bits are cast
            name = sources[name]
        return torch.tensor(stored[name].astype(np.float32))

    network = VerifierNetwork().eval()
    layers = [one for one in network.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    nodes = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.running_var.fill_(1 - norm.eps)
        for layer, node in zip(layers, nodes, strict=True):
            weight = value(node.input[1])
            layer.weight.copy_(weight if weight.shape == layer.weight.shape else weight.T)
            bias = norms[layers.index(layer)].bias if layer.bias is None else layer.bias
            bias.copy_(value(node.input[2]))
        weights = read_sidecar(sidecar_path(path)).parameters["evidence_weights"]
        network.evidence.copy_(torch.tensor(weights))
    return network


def refine(start: Path, samples: Samples, *, seconds: float, seed: int) -> VerifierNetwork:
    """Train an exported network on, for faces; of covers it is to say what it said before."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network, teacher = read_network(start), read_network(start)
    network.dropout.train()
    optimizer = torch.optim.AdamW(network.parameters(), _REFINE_RATE, weight_decay=1e-3)
    weights = _drawing(samples, unsure=3.0)
    averaged = {name: value.detach().clone() for name, value in network.named_parameters()}
    started, step = time.process_time(), 0
    while (spent := (time.process_time() - started) / seconds) < 1:
        for group in optimizer.param_groups:
            rate = _REFINE_RATE * min(1, step / 50 + 0.02)
            group["lr"] = rate * (1 + np.cos(np.pi * spent)) / 2
        rows = rng.choice(len(weights), _BATCH, p=weights)
        image = torch.from_numpy(_augmented(samples.crops[rows], rng))
        known = torch.from_numpy(samples.evidence[rows])
        known[torch.from_numpy(rng.random(_BATCH) < _UNKNOWN_EVIDENCE)] = 0
        logits = network.with_evidence(image, known)
        with torch.no_grad():
            covers = teacher(image)[:, 1:].sigmoid()
        face = torch.from_numpy(samples.targets[rows, 0]) * (1 - 2 * _SMOOTH) + _SMOOTH
        error = functional.binary_cross_entropy_with_logits
        loss = error(logits[:, 0], face) + 0.5 * error(logits[:, 1:], covers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        with torch.no_grad():
            for name, value in network.named_parameters():
                averaged[name].lerp_(value, 0.01 if step > 150 else 0.05)
    network.load_state_dict(averaged, strict=False)
    return network.eval()


def train(samples: Samples, *, seconds: float, seed: int) -> VerifierNetwork:
    """Train until this many seconds of CPU time are spent; the rate falls to 0 with them."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = VerifierNetwork().train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    weights = _drawing(samples)
    averaged = {name: value.clone() for name, value in network.state_dict().items()}
    started, step, losses = time.process_time(), 0, []
    while (spent := (time.process_time() - started) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1, step / 100 + 0.01) * (1 + np.cos(np.pi * spent)) / 2
        rows = rng.choice(len(weights), _BATCH, p=weights)
        image = torch.from_numpy(_augmented(samples.crops[rows], rng))
        known = torch.from_numpy(samples.evidence[rows])
        known[torch.from_numpy(rng.random(_BATCH) < _UNKNOWN_EVIDENCE)] = 0
        loss = _loss(network.with_evidence(image, known), torch.from_numpy(samples.targets[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        step += 1
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                averaged[name].lerp_(value, 0.005 if step > 200 else 0.05)
            else:
                averaged[name].copy_(value)
        if step % 200 == 0:
            print(f"step {step}, {spent:.0%}: loss {np.mean(losses[-200:]):.4f}", flush=True)
    network.load_state_dict(averaged)
    return network.eval()


def predict(network: VerifierNetwork, samples: Samples) -> np.ndarray:
    """Logits ``(N, 3)`` of the middle of each crop."""
    middle = samples.crops[:, MARGIN : MARGIN + SIZE, MARGIN : MARGIN + SIZE]
    logits = []
    with torch.no_grad():
        for n in range(0, len(middle), _BATCH):
            image = (middle[n : n + _BATCH, None].astype(np.float32) - 128) / 64
            known = torch.from_numpy(samples.evidence[n : n + _BATCH])
            logits.append(network.with_evidence(torch.from_numpy(image), known).numpy())
    return np.concatenate(logits)


def _drawing(samples: Samples, unsure: float = 1.0) -> np.ndarray:
    """As many detections without a face as with one, and covered faces twice as often.

    Args:
        unsure: how often faces are drawn whose presence by the landmarks is below 0.9.
    """
    face, mouth, eyes = samples.targets.T
    weights = np.where((mouth == 1) | (eyes == 1), 2.0, 1.0)
    weights[(face == 1) & (samples.evidence[:, 1] < _SURE_PRESENCE)] *= unsure
    weights[face == 0] = weights[face == 1].sum() / max(1, (face == 0).sum()) * 0.8
    return weights / weights.sum()


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    known = (targets >= 0).float() * torch.tensor(_WEIGHTS)
    soft = targets.clamp(min=0) * (1 - 2 * _SMOOTH) + _SMOOTH
    each = functional.binary_cross_entropy_with_logits(logits, soft, reduction="none")
    return (each * known).sum() / known.sum()


def _ellipse(wide: float, high: float) -> np.ndarray:
    """``(SIZE, SIZE)``: inside an ellipse in the middle; radii are shares of the side."""
    rows, columns = (np.arange(SIZE) + 0.5) / SIZE - 0.5, (np.arange(SIZE) + 0.5) / SIZE - 0.5
    return np.asarray((rows[:, None] / high) ** 2 + (columns / wide) ** 2 < 1)


def _augmented(crops: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``(N, 1, SIZE, SIZE)`` float32: moved, mirrored, and in other light."""
    out = np.empty((len(crops), 1, SIZE, SIZE), np.float32)
    moves = np.clip(rng.normal(MARGIN, 2.0, (len(crops), 2)).round().astype(int), 0, 2 * MARGIN)
    levels = np.arange(256) / 255
    for slot, crop, (y, x) in zip(out, crops, moves, strict=True):
        part = crop[y : y + SIZE, x : x + SIZE]
        if rng.random() < 0.5:
            # What is around the face or the object is no sign of either.
            other = crops[rng.integers(len(crops)), MARGIN : MARGIN + SIZE, MARGIN : MARGIN + SIZE]
            part = np.where(_ellipse(*rng.uniform(0.3, 0.5, 2)), part, other)
        if rng.random() < 0.5:
            part = part[:, ::-1]
        # Light and skin from dark to pale.
        curve = 255 * levels ** np.exp(rng.normal(0.1, 0.35)) - 128
        curve = (curve * rng.normal(1, 0.2) + rng.normal(0, 18)).clip(-128, 127)
        start = rng.integers(0, _NOISE.size - SIZE * SIZE)
        noise = _NOISE[start : start + SIZE * SIZE].reshape(SIZE, SIZE)
        slot[0] = curve.astype(np.float32)[part] + rng.uniform(0, 8) * noise
    return out / 64
