"""Running an ONNX model with onnxruntime."""

import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from mien.errors import ModelFileError, ProviderError, SpecError
from mien.runtime.spec import METADATA_KEY, spec_from_json
from mien.types import ModelSpec

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
"""onnxruntime's execution providers by their names in mien's settings."""

_PACKAGES = {"cuda": "onnxruntime-gpu", "openvino": "onnxruntime-openvino", "coreml": "onnxruntime"}


def available_providers() -> list[str]:
    """The providers that the installed onnxruntime has, by mien's names."""
    installed = ort.get_available_providers()
    return [name for name, full_name in PROVIDERS.items() if full_name in installed]


class Session:
    """An ONNX model, loaded when first used.

    Safe to share between threads, and to create before a fork: each process loads the model itself,
    because onnxruntime's thread pools do not survive a fork.

    Args:
        path: path of the ONNX file.
        threads: maximum number of threads per run, at least 1.
        provider: a key of :data:`PROVIDERS`.
        sizes: sizes of the file's dynamic axes by name. Fixed sizes are about 10 % faster.

    Raises:
        ProviderError: the provider is not installed.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        provider: str = "cpu",
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        _check_provider(provider)
        self.path = path
        self._threads = max(1, threads)
        self._provider = provider
        self._sizes = dict(sizes or {})
        self._lock = threading.Lock()
        self._session: ort.InferenceSession | None = None
        self._owner_pid = 0

    def __reduce__(self) -> tuple[Any, ...]:
        # The other process loads the model itself.
        threads, provider, sizes = self._threads, self._provider, self._sizes
        return partial(Session, self.path, threads=threads, provider=provider, sizes=sizes), ()

    def run(
        self, inputs: dict[str, npt.NDArray[np.float32]], outputs: Sequence[str] | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """Run the model.

        Args:
            inputs: by name.
            outputs: names of those that are wanted; None for all, in the order of the file.

        Raises:
            ModelFileError: the file is damaged or not an ONNX model.
        """
        return self._loaded().run(outputs, inputs)  # type: ignore[no-any-return]

    def warm_up(self) -> None:
        """Load the model now rather than at the first run."""
        self._loaded()

    def input_names(self) -> list[str]:
        return [entry.name for entry in self._loaded().get_inputs()]

    def output_names(self) -> list[str]:
        return [entry.name for entry in self._loaded().get_outputs()]

    def has_spec(self) -> bool:
        """Whether the file's metadata have a spec."""
        return METADATA_KEY in self._loaded().get_modelmeta().custom_metadata_map

    def read_spec(self) -> ModelSpec:
        """Read the spec from the file's metadata.

        Raises:
            SpecError: there is no spec.
        """
        text = self._loaded().get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if text is None:
            raise SpecError(
                f"{self.path} has no model spec: expected one in its metadata under "
                f"{METADATA_KEY!r}, or next to it as {self.path.with_suffix('.json').name}"
            )
        return spec_from_json(text)

    def _loaded(self) -> ort.InferenceSession:
        session = self._session
        if session is not None and self._owner_pid == os.getpid():
            return session
        with self._lock:
            if self._session is None or self._owner_pid != os.getpid():
                self._session = self._load()
                self._owner_pid = os.getpid()
            return self._session

    def _load(self) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # Spinning threads would drain a laptop's battery between frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        for name, size in self._sizes.items():
            options.add_free_dimension_override_by_name(name, size)
        options.log_severity_level = 3
        names = [PROVIDERS[self._provider]]
        if self._provider != "cpu":
            names.append(PROVIDERS["cpu"])
        try:
            return ort.InferenceSession(str(self.path), options, providers=names)
        except Exception as error:  # onnxruntime's exceptions share no public base
            raise ModelFileError(
                f"expected an ONNX model in {self.path}, but it cannot be loaded: {error}"
            ) from error


def _check_provider(provider: str) -> None:
    """Raise ProviderError if the provider is unknown or not installed."""
    if provider not in PROVIDERS:
        raise ProviderError(f"expected a provider out of {', '.join(PROVIDERS)}, got {provider!r}")
    if provider not in available_providers():
        raise ProviderError(
            f"the provider {provider!r} is not in the installed onnxruntime, which has "
            f"{', '.join(available_providers())}: install {_PACKAGES.get(provider)} in its place, "
            "or choose another provider"
        )
