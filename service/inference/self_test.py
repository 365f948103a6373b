"""This module sees that a graph computes what its bundle says, on the device on which it runs, alone and in company."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import Sample
from service.errors import EngineError
from service.inference.engine import Engine

TOLERANCE = 1e-3
"""Largest error of an output against the bundle's sample, relative to the output's largest value.

Wide enough for what GPUs do in reduced precision, far too narrow for a wrong graph.
"""


def self_test(engine: Engine, sample: Sample) -> None:
    """Run the rows that the bundle brings, and compare with the answers that it brings.

    Raises:
        EngineError: If an answer is another; the text names the output.
    """
    names = list(sample.outputs)
    for name, found in zip(names, engine.run(sample.inputs, names), strict=True):
        expected = sample.outputs[name]
        if (found.dtype, found.shape) != (expected.dtype, expected.shape):
            raise EngineError(
                f"self-test: {name}: expected {expected.dtype} of shape {expected.shape}, "
                f"got {found.dtype} of shape {found.shape}"
            )
        if not _same(found, expected):
            raise EngineError(
                f"self-test: {name}: expected values within {TOLERANCE:g} of the largest one of the bundle's sample"
            )


def rows_are_independent(engine: Engine, sample: Sample) -> bool:
    """Whether a row is answered alone as it is in company, as far as the sample's rows can show.

    What normalizes by the statistics of the batch at hand, or sums over it, does not; its rows must not share a run.
    """
    names = list(sample.outputs)
    rows = len(next(iter(sample.inputs.values())))
    together = engine.run(sample.inputs, names)
    for row in {0, rows - 1}:
        alone = engine.run({name: array[row : row + 1] for name, array in sample.inputs.items()}, names)
        for one, all_ in zip(alone, together, strict=True):
            if len(one) != 1 or not _same(one, all_[row : row + 1], scale=all_):
                return False
    return True


def _same(found: NDArray[Any], expected: NDArray[Any], scale: NDArray[Any] | None = None) -> bool:
    """Whether all values agree; NaN and infinity are no agreement."""
    if expected.dtype.kind != "f":
        return bool(np.array_equal(found, expected))
    scale = expected if scale is None else scale
    magnitudes = np.abs(scale[np.isfinite(scale)].astype(np.float64))
    return bool(np.allclose(found, expected, rtol=0.0, atol=TOLERANCE * magnitudes.max(initial=0.0)))
