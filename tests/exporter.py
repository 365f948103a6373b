"""This module has torch's exporter read its operators once a process, and not before every graph, and run untraced.

They are a constant of what is installed, and reading them takes longer than exporting a network of a few layers. What
the exporter does, and the passes of onnxscript do, is no line of this project.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import onnxscript.optimizer
import onnxscript.rewriter
import pytest
import torch
from torch.onnx._internal.exporter._registration import ONNXRegistry

from tests.untraced import untraced


@pytest.fixture(scope="session", autouse=True)
def quick_exporter() -> Iterator[None]:
    """Torch's own operators at every export, to which nothing here adds (``custom_translation_table``); untraced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))
        patch.setattr(torch.onnx, "export", untraced(torch.onnx.export))
        patch.setattr(onnxscript.optimizer, "fold_constants", untraced(onnxscript.optimizer.fold_constants))
        patch.setattr(onnxscript.rewriter, "rewrite", untraced(onnxscript.rewriter.rewrite))
        yield
