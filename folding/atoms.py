"""This module finds the values that inputs take again and again, in rows like those that a network was fitted to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from folding.calibration import FEWEST_ROWS
from models.atoms import Atoms
from models.manifest import TensorRecord

LEAST_SHARE = 0.05
"""Of a channel's values, that are at its most frequent one: then that is an atom. Of the 256 values of 8 bits one
is often a hundredth by nothing but chance."""

ROUNDING = 1e-6
"""In shares of an atom: whoever computes it in another order of operations still arrives at it."""

TOLERANCE = 1e-5
"""The same in shares of how far from it the other values of its channel are: an atom may be 0 but for rounding."""

BETWEEN_WHOLE = 0.5
"""The same of whole numbers, of which none is nearer than 1."""

MOST_VALUES = 2**22
"""Of an input's rows, that are looked at: at even distances, where there are more."""

FLOATS = ("FP16", "FP32", "FP64")
WHOLE = ("UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64")


def find_atoms(inputs: Sequence[TensorRecord], rows: Sequence[NDArray[Any]]) -> tuple[Atoms, ...]:
    """The atoms of every input that has any, in their order.

    Looked at are inputs of numbers whose second axis, of channels or features, has a fixed size. What is
    NaN or infinite is no atom, and at none.

    Args:
        inputs: Of the graph.
        rows: Held-out rows, one array an input; there are none to be found in fewer than ``FEWEST_ROWS``.
    """
    pairs = zip(inputs, rows, strict=True)
    found = [_atoms(record, array) for record, array in pairs if _is_looked_at(record) and len(array) >= FEWEST_ROWS]
    return tuple(one for one in found if one is not None)


def _is_looked_at(record: TensorRecord) -> bool:
    return record.datatype in (*FLOATS, *WHOLE) and len(record.shape) > 1 and record.shape[1] > 0


def _atoms(record: TensorRecord, rows: NDArray[Any]) -> Atoms | None:
    count = min(len(rows), max(FEWEST_ROWS, MOST_VALUES // math.prod(rows.shape[1:])))
    chosen = rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]
    values = chosen.astype(np.float64).reshape(count, rows.shape[1], -1)
    by_channel = [_most_frequent(values[:, channel]) for channel in range(values.shape[1])]
    channels = [channel for channel, (_, share) in enumerate(by_channel) if share >= LEAST_SHARE]
    if not channels:
        return None
    atoms = np.array([by_channel[channel][0] for channel in channels])
    taken = values[:, channels]
    away = np.abs(taken - atoms[:, None])
    whole = record.datatype in WHOLE
    tolerances = np.array(
        [BETWEEN_WHOLE if whole else _tolerance(away[:, place], atom) for place, atom in enumerate(atoms)]
    )
    shares = (away < tolerances[:, None]).mean(axis=(1, 2))
    return Atoms(
        input=record.name,
        channels=np.array(channels, dtype=np.int64),
        values=atoms,
        tolerances=tolerances,
        share=float(shares.mean()),
        variance=float(shares.var()),
    )


def _most_frequent(values: NDArray[np.float64]) -> tuple[float, float]:
    """The finite value that is there most often, and which share of all it is."""
    found, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    if not found.size:
        return 0.0, 0.0
    most = int(counts.argmax())
    return float(found[most]), float(counts[most] / values.size)


def _tolerance(away: NDArray[np.float64], atom: float) -> float:
    """What is nearer to an atom is at it.

    Args:
        away: How far from it the values of its channel are; a median of them, since figures that stand for missing ones
            may be as far away as numbers go.
        atom: It.
    """
    rounded = ROUNDING * abs(atom)
    others = away[np.isfinite(away) & (away > rounded)]
    # of a channel that is never anything else there are no others, and the atom may be 0
    return max(rounded + (TOLERANCE * float(np.median(others)) if others.size else 0.0), TOLERANCE**2)
