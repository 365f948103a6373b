"""This module runs one graph: an ONNX Runtime session on one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from models.datatypes import Datatype
from service.errors import EngineError, ServiceError
from service.inference.device_memory import DeviceMemory
from service.inference.devices import CUDA, TENSORRT, Device
from service.inference.runtime_values import as_value, from_runtime, is_plain, read_value, to_runtime

Arrays = Mapping[str, NDArray[Any]]


class Engine:
    """One graph, ready to run; safe to use from several threads.

    Args:
        model: The graph: where its file is, or the bytes of one.
        device: Where it runs; where it was named, another one is never taken in its place.
        threads: Threads of one run on the CPU, the caller's among them.

    Attributes:
        device: Where it really runs: ``cpu``, ``cuda:N`` or ``tensorrt:N``.
        requested_device: Where it was asked to, in the words of the settings.
        threads: As given.

    Raises:
        EngineError: If the graph can't be loaded, or not on this device.
    """

    def __init__(self, model: Path | bytes, device: Device, *, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors come as exceptions
        # a thread that spins for work after a run takes the CPU from the event loop, and from a container's quota
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=_providers(device))
        except Exception as error:  # the runtime raises its own kinds, which share no base
            name = model.name if isinstance(model, Path) else "graph"
            raise EngineError(f"{name}: expected a graph that ONNX Runtime can load: {error}") from error
        used = self._session.get_providers()[0]
        if used != device.provider and device.required:
            raise EngineError(f"device: expected {device.name} ({device.provider}), the runtime fell back to {used}")
        on_device = used == device.provider
        self.device = device.name if on_device else "cpu"
        self.requested_device = device.requested
        self.threads = threads
        self._inputs: dict[str, Datatype] = {t.name: DATATYPE_OF[t.type] for t in self._session.get_inputs()}
        self._outputs: dict[str, Datatype] = {t.name: DATATYPE_OF[t.type] for t in self._session.get_outputs()}
        self._plain = all(map(is_plain, [*self._inputs.values(), *self._outputs.values()]))
        self._memory = None
        if on_device and device.kind != "cpu" and self._plain:
            self._memory = DeviceMemory(self._session, "cuda", device.number)

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run the graph, which takes as long as it takes.

        Args:
            inputs: Every input of the graph, in the form of ``models.datatypes``.
            outputs: Names of the outputs that are wanted, in the order in which they are given back.

        Raises:
            InvalidRequest: If an input holds what the runtime can't take, such as bytes that are no text.
            EngineError: If the runtime fails.
        """
        try:
            if self._memory is not None:
                return self._memory.run(inputs, outputs)
            if self._plain:
                return self._session.run(outputs, inputs)  # type: ignore[no-any-return]
            return self._run_converted(inputs, outputs)
        except ServiceError:
            raise
        except Exception as error:  # see above
            raise EngineError(f"the runtime failed on this request: {error}") from error

    def run_rows(self, inputs: Arrays, outputs: Sequence[str], _rows: int) -> list[NDArray[Any]]:
        """The same, for a batcher, which says how many rows are no padding; they are run alike."""
        return self.run(inputs, outputs)

    def _run_converted(self, inputs: Arrays, outputs: Sequence[str]) -> list[NDArray[Any]]:
        feed = {name: to_runtime(name, array, self._inputs.get(name)) for name, array in inputs.items()}
        if not any(self._outputs.get(name) == "BF16" for name in outputs):
            answers = self._session.run(outputs, feed)
            return [from_runtime(answer, self._outputs[name]) for name, answer in zip(outputs, answers, strict=True)]
        # these come only as values of the runtime, and so must go in
        values = self._session.run_with_ort_values(outputs, {name: as_value(value) for name, value in feed.items()})
        return [read_value(value, self._outputs[name]) for name, value in zip(outputs, values, strict=True)]


def _providers(device: Device) -> list[tuple[str, dict[str, Any]]]:
    options: Mapping[str, dict[str, Any]] = {
        CUDA: {"device_id": device.number},
        TENSORRT: {"device_id": device.number},
    }
    return [(provider, options.get(provider, {})) for provider in device.providers]


DATATYPE_OF: Mapping[str, Datatype] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
"""What the runtime calls the datatypes of the protocol."""
