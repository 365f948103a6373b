"""This module turns the labels of a data set, text or whole numbers, into numbers of classes.

Classes are those of the training rows, whole numbers in their order and text in alphabetical order, unless a recipe
names them. Whole numbers are numbers even where they are written as text, as a CSV file has them. Rows are counted from
1 in all messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.errors import DataError

SHOWN_CLASSES = 10
LARGEST = 2.0**63
"""Whole numbers are below it."""


def encode_labels(
    found: Mapping[str, NDArray[Any]], names: Sequence[str] = ()
) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """The name of every class, and the number of every row's class.

    Args:
        found: Labels, one a row, by the place that messages name; those of the training rows come first.
        names: The class that every number from 0 stands for, or every class where labels are text; otherwise the
            classes are those that the training rows have. Numbers that are classes by name are text.

    Raises:
        DataError: If a label is missing, is neither text nor a whole number, or is of no class that is known.
    """
    plain = {place: _plain(labels, place) for place, labels in found.items()}
    first = next(iter(plain.values()))
    known = _known(first, names)
    shown = tuple(names) or tuple(str(label) for label in known)
    return shown, {place: _numbers(labels, known, place) for place, labels in plain.items()}


def _known(labels: NDArray[Any], names: Sequence[str]) -> NDArray[Any]:
    """What labels say for every class, in the order of the classes."""
    found = np.unique(labels).tolist()
    numbered = all(_is_whole(str(label)) for label in found)
    known: Sequence[Any] = sorted(found, key=int) if numbered else found
    if names:
        known = range(len(names)) if numbered and set(names).isdisjoint(found) else names
    return np.array(known, dtype=np.int64 if labels.dtype.kind == "i" else np.str_)


def _plain(labels: NDArray[Any], place: str) -> NDArray[Any]:
    """Labels as int64 or text."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(f"{place}: expected one label a row, shape (rows,), got shape {labels.shape}")
    match labels.dtype.kind:
        case "b" | "i" | "u":
            return labels.astype(np.int64)
        case "f":
            # NaN is nothing, and what int64 has no room for is no number of a class
            for row in np.flatnonzero(~((np.abs(labels) < LARGEST) & (labels == np.floor(labels))))[:1]:
                raise DataError(f"{place}: row {row + 1}: expected a label, text or a whole number, got {labels[row]}")
            return labels.astype(np.int64)
        case "U" | "T":
            for row in np.flatnonzero(labels == "")[:1]:
                raise DataError(f"{place}: row {row + 1}: expected a label, got none")
            return labels.astype(np.str_)
    raise DataError(f"{place}: expected labels that are text or whole numbers, got {labels.dtype}")


def _numbers(labels: NDArray[Any], known: NDArray[Any], place: str) -> Tensor:
    if labels.dtype.kind != known.dtype.kind:
        kinds = {"i": "whole numbers", "U": "text"}
        raise DataError(
            f"{place}: expected {kinds[known.dtype.kind]}, as the training rows have it, got {kinds[labels.dtype.kind]}"
        )
    if len(labels) == 0 or len(known) == 0:
        return torch.empty(0, dtype=torch.int64)
    order = np.argsort(known)
    numbers = order[np.searchsorted(known, labels, sorter=order).clip(max=len(known) - 1)]
    for row in np.flatnonzero(known[numbers] != labels)[:1]:
        raise DataError(f"{place}: row {row + 1}: expected a label of {_shown(known)}, got {labels[row].item()!r}")
    return torch.from_numpy(numbers.astype(np.int64))


def _shown(known: NDArray[Any]) -> str:
    if known.dtype.kind == "i" and len(known) > 1 and known[-1] - known[0] == len(known) - 1:
        return f"{known[0]} to {known[-1]}"
    more = f" and {len(known) - SHOWN_CLASSES} more" if len(known) > SHOWN_CLASSES else ""
    return ", ".join(str(label) for label in known[:SHOWN_CLASSES]) + more


def _is_whole(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit()
