"""Train the verifier: is a detection a face, and are its mouth and its eyes covered?

    python tools/verifier --pictures PICTURES --photographs lfw-more --ferplus ferplus.npz \\
        --out src/mien/models

PICTURES are folders of pictures without people: docs/cards/verifier.md names those of the shipped
model. What the detector finds in parts of them are the negatives. Faces are photographs with one
face each, and FER+'s train split without near-duplicates of its valid split; each is used clear,
with something drawn over it, small, and cut by a border. Needs torch and onnx; one thread is used.
"""

import argparse
import dataclasses
import math
import resource
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import torch
from network import VerifierNetwork, predict, refine, train
from samples import (
    FRAME,
    SCALE,
    SIZE,
    Collector,
    Samples,
    read_ferplus,
    read_photographs,
    read_pictures,
)

from mien.config import Settings
from mien.detection.verifier import PARTS
from mien.runtime.session import Session
from mien.training.export import OPSET, halve_weights, write_model
from mien.types import InputSpec, ModelSpec

# Shares of held-out faces that are lost, and lost or unclear: those are tiny, or cut and covered at
# once. And the share of clear ones that count as covered.
LOST, UNCLEAR, MARKED = 0.015, 0.03, 0.01

SPEC = ModelSpec(
    name="verifier",
    task="detection",
    file="verifier.onnx",
    input=InputSpec("image", (SIZE, SIZE), "gray", (128.0,), (64.0,)),
    outputs=("logits",),
    license="MIT",
    source="trained by mien, tools/verifier",
    training_data="LFW photographs of expressions, FER+ train, and pictures without people from "
    "Debian packages and scikit-image",
    parameters={
        "architecture": "verifier",
        "roi_scale": SCALE,
    },
)


def collect(options: argparse.Namespace) -> Samples:
    """Samples of all pictures; kept in a file if wanted, because collecting takes longest."""
    if options.samples and options.samples.is_file():
        with np.load(options.samples) as arrays:
            return Samples(*(arrays[field.name] for field in dataclasses.fields(Samples)))
    rng = np.random.default_rng(options.seed)
    pictures = list(read_pictures(options.pictures, rng))
    collector = Collector([image for image, held_out in pictures if not held_out], rng)
    for image, held_out in islice(read_photographs(options.photographs, rng), options.faces):
        collector.add_face(image, held_out=held_out)
    faces = islice(read_ferplus(options.ferplus, rng), options.pasted)
    for number, (image, held_out) in enumerate(faces):
        if number < options.faces:
            collector.add_face(image, held_out=held_out)
        collector.add_pasted(image[FRAME:-FRAME, FRAME:-FRAME], held_out=held_out)
    for image, held_out in pictures:
        megapixels = image.shape[0] * image.shape[1] / 1e6
        looks = round(options.looks * max(1, 4 * megapixels))
        collector.add_nothing(image, looks, held_out=held_out)
    samples = collector.samples()
    if options.samples:
        np.savez(options.samples, **dataclasses.asdict(samples))
    return samples


def choose_limits(network: VerifierNetwork, held_out: Samples) -> None:
    """Change the logits so that the limits of the pipeline fit, by the held-out detections.

    Faces are kept from min_presence on, they are unclear below 0.5, and parts are covered from a
    logit of 0 on.
    """
    logits = predict(network, held_out)
    targets = held_out.targets
    face, no_face = (logits[targets[:, 0] == value, 0] for value in (1, 0))
    kept_from, clear_from = (float(np.quantile(face, share)) for share in (LOST, UNCLEAR))
    lowest = Settings().min_presence
    slope = math.log(1 / lowest - 1) / (clear_from - kept_from)
    kept, sure = (no_face >= kept_from).mean(), (no_face >= clear_from).mean()
    print(f"held out: {len(face)} faces, {LOST:.1%} lost, {UNCLEAR:.1%} lost or unclear")
    print(f"{len(no_face)} others, {kept:.1%} kept, of all {sure:.1%} not unclear")
    limits = [clear_from]
    for column in (1, 2):
        clear = logits[(targets[:, 1] == 0) & (targets[:, 2] == 0), column]
        limits.append(float(np.quantile(clear, 1 - MARKED)))
        covered = logits[targets[:, column] == 1, column] > limits[-1]
        print(f"{PARTS[column - 1]}: {covered.mean():.1%} of {len(covered)} covered are found")
    network.adjust(limits, slope)


def export(network: VerifierNetwork, folder: Path) -> None:
    program = torch.onnx.export(
        network.to(memory_format=torch.contiguous_format),
        (torch.zeros(2, 1, SIZE, SIZE),),
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    model: onnx.ModelProto = halve_weights(program.model_proto)
    weights = [round(float(value), 4) for value in network.evidence]
    spec = dataclasses.replace(SPEC, parameters={**SPEC.parameters, "evidence_weights": weights})
    entry = write_model(model, spec, folder)
    image = np.random.default_rng(0).normal(size=(2, 1, SIZE, SIZE)).astype(np.float32)
    given = Session(entry.path).run({"image": image})[0]
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    print(f"{entry.path}: {entry.path.stat().st_size} bytes, logits differ by "
          f"{np.abs(given - expected).max():.4f}")  # fmt: skip


def timed(what: str, work: Callable[[], Samples | VerifierNetwork]) -> Samples | VerifierNetwork:
    started, cpu = time.perf_counter(), time.process_time()
    result = work()
    print(
        f"{what}: {time.process_time() - cpu:.0f} s of CPU, {time.perf_counter() - started:.0f} s"
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--ferplus", type=Path, required=True)
    parser.add_argument("--samples", type=Path, help="file that keeps the samples")
    parser.add_argument("--faces", type=int, default=2000, help="of each of the two sources")
    parser.add_argument("--pasted", type=int, default=12000, help="faces of FER+ in collages")
    parser.add_argument("--looks", type=int, default=7, help="parts of each quarter megapixel")
    parser.add_argument("--seconds", type=float, default=240, help="CPU time of the training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="verifier.onnx that is trained on")
    parser.add_argument("--limit", type=float, default=2.2, help="its logit that becomes "
                        "min_presence, if it is trained on")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    samples = timed("samples", lambda: collect(options))
    assert isinstance(samples, Samples)
    for value, name in ((1, "faces"), (0, "no faces")):
        print(f"{name}: {(samples.targets[:, 0] == value).sum()}")
    print(f"covered mouths, eyes: {(samples.targets[:, 1:] == 1).sum(axis=0)}")
    learned = samples.part(~samples.held_out)
    how = {"seconds": options.seconds, "seed": options.seed}
    start = options.start
    network = timed(
        "training", lambda: refine(start, learned, **how) if start else train(learned, **how)
    )
    assert isinstance(network, VerifierNetwork)
    if start:
        lowest = Settings().min_presence
        network.adjust([options.limit + math.log(1 / lowest - 1), 0, 0], 1)
    else:
        choose_limits(network, samples.part(samples.held_out))
    export(network, options.out)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
