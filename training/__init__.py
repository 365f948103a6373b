"""This package builds, fits, folds and exports networks trained with batch normalization; torch lives only here.

From Python, one call publishes a network of your own:

    from training import export

    bundle = export(network.eval(), example_inputs, store="models/store", name="mine")
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.publishing import export

__all__ = ["export"]

# ONNX Runtime's wheels send telemetry unless told not to; this has to be said before onnxruntime is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> object:
    """Import torch, which takes seconds, only when what needs it is asked for."""
    if name == "export":
        from training.publishing import export  # noqa: PLC0415

        return export
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
