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
from models.moments import Array

LEAST_SHARE = 0.05
"""Of a channel's values, that are at its most frequent one: then that is an atom. Of the 256 values of 8 bits one
is often a hundredth by nothing but chance."""

ROUNDING = 1e-6
"""In shares of an atom: whoever computes it in another order of operations still arrives at it."""

TOLERANCE = 1e-5
"""The same in shares of how far from it the other values of its channel are: an atom may be 0 but for rounding."""

NEAR_OTHERS = 0.1
"""Which of them: the quantile. All but these may stand for something missing, as far away as numbers go."""

BETWEEN_WHOLE = 0.5
"""The same of whole numbers, of which none is nearer than 1."""

LEAST_VARYING = 0.05
"""Of the rows, whose share is not the usual one. Where hardly any differs, as of a flag that is seldom set, a window of
unmoved rows has one or none, and nothing tells how far off that is."""

MOST_VALUES = 2**22
"""Of an input's rows, that atoms are looked for in: of rows at even distances, where there are more."""

LARGEST = float(np.finfo(np.float32).max)
LARGEST_WHOLE = 2.0**24
"""Of atoms: a probe compares in float32, which has every whole number up to this one."""

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
    values = _by_channel(rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)])
    whole = record.datatype in WHOLE
    largest = LARGEST_WHOLE if whole else LARGEST
    found = [(channel, *_most_frequent(values[:, channel])) for channel in range(values.shape[1])]
    kept = [(channel, atom) for channel, atom, share in found if share >= LEAST_SHARE and abs(atom) <= largest]
    if not kept:
        return None
    channels, atoms = np.array([channel for channel, _ in kept]), np.array([atom for _, atom in kept])
    tolerances = np.array([BETWEEN_WHOLE if whole else _tolerance(values[:, channel], atom) for channel, atom in kept])
    shares = np.concatenate([_shares(part, channels, atoms, tolerances) for part in _parts(rows)])
    if np.unique(shares, return_counts=True)[1].max() > (1 - LEAST_VARYING) * len(shares):
        return None
    return Atoms(
        input=record.name,
        channels=channels,
        values=atoms,
        tolerances=tolerances,
        share=float(shares.mean()),
        variance=float(shares.var()),
    )


def _by_channel(rows: NDArray[Any]) -> Array:
    """Shape ``(rows, channels, positions)``."""
    return rows.astype(np.float64).reshape(len(rows), rows.shape[1], -1)


def _parts(rows: NDArray[Any]) -> list[NDArray[Any]]:
    """All rows, as many at once as atoms are looked for in."""
    at_once = max(1, MOST_VALUES // math.prod(rows.shape[1:]))
    return [rows[start : start + at_once] for start in range(0, len(rows), at_once)]


def _shares(rows: NDArray[Any], channels: NDArray[np.int64], atoms: Array, tolerances: Array) -> Array:
    """Of each row, which share of its values is at the atoms."""
    away = np.abs(_by_channel(rows)[:, channels] - atoms[:, None])
    return np.asarray((away < tolerances[:, None]).mean(axis=(1, 2)))


def _most_frequent(values: Array) -> tuple[float, float]:
    """The finite value that is there most often, and which share of all it is."""
    found, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    if not found.size:
        return 0.0, 0.0
    most = int(counts.argmax())
    return float(found[most]), float(counts[most] / values.size)


def _tolerance(values: Array, atom: float) -> float:
    """What is nearer to a channel's atom than this is at it."""
    away, rounded = np.abs(values - atom), ROUNDING * abs(atom)
    others = away[np.isfinite(away) & (away > rounded)]
    # of a channel that is never anything else there are no others, and the atom may be 0
    return max(rounded + (TOLERANCE * float(np.quantile(others, NEAR_OTHERS)) if others.size else 0.0), TOLERANCE**2)
