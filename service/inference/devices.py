"""This module decides which device graphs run on, and refuses to take another than the one that was named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import DeviceError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_NAMED = re.compile(r"cpu|cuda(?::([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class Device:
    """One device, and how ONNX Runtime is asked for it.

    Attributes:
        name: ``cpu`` or ``cuda:N``.
        provider: The execution provider that runs the graph.
        providers: What a session is given: the provider with its options, and the CPU for what it can't run.
        required: Whether it was named; if not, the CPU is good enough where the device turns out not to work.
    """

    name: str
    provider: str
    providers: Sequence[str | tuple[str, dict[str, int]]]
    required: bool


def choose_device(asked: str, available: Sequence[str]) -> Device:
    """Choose the device that was asked for.

    Args:
        asked: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; ``auto`` is the first GPU if this runtime can use one.
        available: Execution providers of the installed runtime.

    Raises:
        DeviceError: If the name is none of these, or the runtime has no such provider.
    """
    required = asked != "auto"
    if not required:
        asked = "cuda" if CUDA in available else "cpu"
    match = _NAMED.fullmatch(asked)
    if match is None:
        raise DeviceError(f"device: expected auto, cpu, cuda or cuda:N, got {asked!r}")
    if asked == "cpu":
        return Device("cpu", CPU, [CPU], required)
    if CUDA not in available:
        raise DeviceError(
            f"device: expected a runtime that can use {asked}, got one with {', '.join(available)}; "
            "is onnxruntime-gpu installed?"
        )
    number = int(match[1] or 0)
    return Device(f"cuda:{number}", CUDA, [(CUDA, {"device_id": number}), CPU], required)
