"""This module runs one graph: an ONNX Runtime session on one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.bundle import Sample
from service.errors import EngineError
from service.inference.devices import Device

SELF_TEST_TOLERANCE = 1e-3
"""Largest error of an output against the bundle's sample, relative to the output's largest value.

Wide enough for what GPUs do in reduced precision, far too narrow for a wrong graph.
"""

Arrays = Mapping[str, NDArray[Any]]


class Engine:
    """One graph, ready to run; safe to use from several threads.

    Args:
        model_path: The graph.
        device: Where it runs; where it was named, another one is never taken in its place.
        threads: Threads of one run.

    Attributes:
        device: Where it really runs, ``cpu`` or ``cuda:N``.

    Raises:
        EngineError: If the graph can't be loaded, or not on this device.
    """

    def __init__(self, model_path: Path, device: Device, *, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors come as exceptions
        try:
            self._session = onnxruntime.InferenceSession(model_path, options, providers=list(device.providers))
        except Exception as error:  # the runtime raises its own kinds, which share no base
            raise EngineError(f"{model_path.name}: expected a graph that ONNX Runtime can load: {error}") from error
        used = self._session.get_providers()[0]
        if used != device.provider and device.required:
            raise EngineError(f"device: expected {device.name} ({device.provider}), the runtime fell back to {used}")
        self.device = device.name if used == device.provider else "cpu"

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run the graph, which takes as long as it takes.

        Args:
            inputs: Every input of the graph.
            outputs: Names of the outputs that are wanted, in the order in which they are given back.

        Raises:
            EngineError: If the runtime fails.
        """
        try:
            return list(self._session.run(list(outputs), dict(inputs)))
        except Exception as error:  # see above
            raise EngineError(f"the runtime failed on this request: {error}") from error

    def self_test(self, sample: Sample) -> None:
        """Run the rows that the bundle brings, and compare with the answers that it brings.

        Raises:
            EngineError: If an answer is another; the text names the output.
        """
        names = list(sample.outputs)
        for name, found in zip(names, self.run(sample.inputs, names), strict=True):
            expected = sample.outputs[name]
            if (found.dtype, found.shape) != (expected.dtype, expected.shape):
                raise EngineError(
                    f"self-test: {name}: expected {expected.dtype} of shape {expected.shape}, "
                    f"got {found.dtype} of shape {found.shape}"
                )
            tolerance = SELF_TEST_TOLERANCE if expected.dtype.kind == "f" else 0.0
            magnitudes = np.abs(expected[np.isfinite(expected)].astype(np.float64))
            allowed = tolerance * magnitudes.max(initial=0.0)
            if not np.allclose(found, expected, rtol=0.0, atol=allowed):  # NaN and infinity are no agreement
                raise EngineError(f"self-test: {name}: expected values within {allowed:.3g} of the bundle's sample")
