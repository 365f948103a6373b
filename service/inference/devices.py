"""This module decides which device graphs run on, and refuses to take another than the one that was named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from service.errors import DeviceError

Kind = Literal["cpu", "cuda", "tensorrt"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
_PROVIDERS: dict[str, str] = {"cuda": CUDA, "tensorrt": TENSORRT}
_NAMED = re.compile(r"(cpu)|(cuda|tensorrt)(?::([0-9]{1,4}))?")
AUTO = "auto"
NAMES = "auto, cpu, cuda, cuda:N, tensorrt or tensorrt:N"


@dataclass(frozen=True, slots=True)
class Device:
    """One device, and how ONNX Runtime is asked for it.

    Attributes:
        kind: What sort of device.
        number: Which GPU of this machine; 0 for the CPU.
        providers: Execution providers, the one that is to run the graph first, then those that take what it can't.
        requested: What was asked for.
    """

    kind: Kind
    number: int
    providers: Sequence[str]
    requested: str

    @property
    def required(self) -> bool:
        """Whether it was named; if not, the CPU is good enough where the device turns out not to work."""
        return self.requested != AUTO

    @property
    def name(self) -> str:
        """``cpu``, ``cuda:N`` or ``tensorrt:N``."""
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.number}"

    @property
    def provider(self) -> str:
        """The execution provider that runs the graph."""
        return self.providers[0]


def choose_device(asked: str, available: Sequence[str]) -> Device:
    """Choose the device that was asked for.

    Args:
        asked: ``auto``, ``cpu``, ``cuda[:N]`` or ``tensorrt[:N]``; ``auto`` is the first GPU, by CUDA, if this runtime
            can use one: TensorRT builds an engine at every load, which takes minutes, so it has to be named.
        available: Execution providers of the installed runtime.

    Raises:
        DeviceError: If the name is none of these, or the runtime has no such provider.
    """
    requested = asked
    if asked == AUTO:
        asked = "cuda" if CUDA in available else "cpu"
    match = _NAMED.fullmatch(asked)
    if match is None:
        raise DeviceError(f"device: expected {NAMES}, got {asked!r}")
    if match[1]:
        return Device("cpu", 0, (CPU,), requested)
    provider = _PROVIDERS[match[2]]
    if provider not in available:
        raise DeviceError(
            f"device: expected a runtime that can use {asked}, got one with {', '.join(available)}; "
            "is onnxruntime-gpu installed?"
        )
    number = int(match[3] or 0)
    if match[2] == "cuda":
        return Device("cuda", number, (CUDA, CPU), requested)
    return Device("tensorrt", number, (TENSORRT, CUDA, CPU), requested)
