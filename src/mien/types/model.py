"""The specification of a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mien.errors import DataError, SpecError
from mien.labels import Expression, check_labels

Task = Literal["detection", "landmarks", "blendshapes", "expression"]
_Color = Literal["rgb", "bgr", "gray"]
_Layout = Literal["NCHW", "NHWC"]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How pixels become the network's input: ``(pixel - mean) / std`` with pixels in 0..255.

    Attributes:
        name: the input's name in the model file.
        size_wh: width and height in pixels.
        color: order of the channels.
        mean, std: one number per channel.
        layout: order of the axes; the first is always the batch.
    """

    name: str
    size_wh: tuple[int, int]
    color: _Color
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: _Layout = "NCHW"

    def __post_init__(self) -> None:
        channels = 1 if self.color == "gray" else 3
        if len(self.mean) != channels or len(self.std) != channels or not all(self.std):
            raise SpecError(
                f"expected {channels} means and {channels} non-zero deviations for "
                f"{self.color} input, got mean {self.mean} and std {self.std}"
            )
        if len(self.size_wh) != 2 or min(self.size_wh) < 1:
            raise SpecError(f"expected an input size (width, height), got {self.size_wh}")


@dataclass(frozen=True, slots=True)
class AlignmentTemplate:
    """Where stable points of the face are in the input of an expression model.

    Attributes:
        scheme: the landmark scheme of the indices.
        indices: ``(P,)`` which landmarks.
        points: ``(P, 2)`` their positions, as fractions of the crop's width and height.
    """

    scheme: str
    indices: tuple[int, ...]
    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if len(self.indices) != len(self.points) or len(self.points) < 2:
            raise SpecError(
                f"expected as many template points as indices, and at least two, "
                f"got {len(self.points)} and {len(self.indices)}"
            )


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything that code needs to know about a model.

    Attributes:
        name: unique among the models, for example ``"facemesh"``.
        task: what it does.
        file: file name of the ONNX (or XML, or classical) file beside the sidecar.
        input: how its input is made.
        outputs: names of the outputs, in order. Of an expression model the first are the logits; an
            output ``embedding`` has the features of the last layer.
        license: SPDX expression, or a sentence where none fits.
        source: package, version and file that it was made from, or how it was trained.
        version: of the model itself.
        sha256: of the file; None inside the file, which cannot contain its own checksum.
        labels: expressions in the order of the logits; empty for other tasks.
        alignment: the template of the crops that it was trained on.
        temperature: the logits are divided by it before the softmax (Guo et al. 2017).
        training_prior: share of each label in the training data, in the order of the labels.
        prior: the prior to which the probabilities are adjusted by default: ``"natural"`` (that of
            training), ``"half"``, ``"uniform"``, or a mapping of label to share.
        uncertain_below: a top probability below this is marked uncertain.
        training_data: in words.
        metrics: measured figures, fractions in [0, 1] unless the name carries a unit.
        parameters: what only this architecture needs, such as anchors.
    """

    name: str
    task: Task
    file: str
    input: InputSpec
    outputs: tuple[str, ...]
    license: str
    source: str
    version: str = "1"
    sha256: str | None = None
    labels: tuple[Expression, ...] = ()
    alignment: AlignmentTemplate | None = None
    temperature: float = 1.0
    training_prior: tuple[float, ...] = ()
    prior: str | Mapping[str, float] = "natural"
    uncertain_below: float = 0.0
    training_data: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task == "expression" and not self.labels:
            raise SpecError(f"expected labels in the spec of expression model {self.name!r}")
        try:
            check_labels(self.labels)
        except DataError as error:
            raise SpecError(f"model {self.name!r}: {error}") from None
        if self.training_prior and len(self.training_prior) != len(self.labels):
            raise SpecError(
                f"expected {len(self.labels)} shares in training_prior of {self.name!r}, "
                f"got {len(self.training_prior)}"
            )
        if self.temperature <= 0:
            raise SpecError(f"expected a positive temperature, got {self.temperature}")

    def alignment_for(self, scheme: str) -> AlignmentTemplate | None:
        """The template for landmarks of a scheme; None where the model has none for it.

        A model that accepts several schemes has the others in ``parameters`` as
        ``alignment_<scheme>``.
        """
        if self.alignment is not None and self.alignment.scheme == scheme:
            return self.alignment
        other = self.parameters.get(f"alignment_{scheme}")
        if other is None:
            return None
        points = tuple((float(x), float(y)) for x, y in other["points"])
        return AlignmentTemplate(scheme, tuple(other["indices"]), points)
