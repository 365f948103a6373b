"""This module says what the numbers of a fit depend on beside its recipe and its data."""

from __future__ import annotations

import platform
from importlib import metadata

import torch
from pydantic import JsonValue


def read_environment() -> dict[str, JsonValue]:
    """Versions of the libraries that compute, the device, and how many threads share a sum."""
    return {
        "torch": metadata.version("torch"),
        "lightning": metadata.version("lightning"),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
