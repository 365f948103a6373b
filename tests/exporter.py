"""This module has torch's exporter read its operators once a process, and not before every graph.

They are a constant of what is installed, and reading them takes longer than exporting a network of a few layers.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from torch.onnx._internal.exporter._registration import ONNXRegistry


@pytest.fixture(scope="session", autouse=True)
def operators_read_once() -> Iterator[None]:
    """Torch's own operators at every export; nothing here adds to them (``custom_translation_table``)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))
        yield
