"""This module cuts rows into those to fit to, those to decide by and those to measure on.

Every class is in each part, in as equal a share as whole rows allow, by a seed of its own: the same rows and the same
seed give the same parts, whatever else a recipe says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, get_args

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.data.splits import LabelledRows, Splits
from training.errors import DataError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)


class Split(BaseModel):
    """Which share of the training rows is held out, for a part that the data does not bring itself.

    Attributes:
        validation: Share of the rows that decide between settings.
        test: Share of the rows that are only measured on.
        seed: Of the cut alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test: Annotated[float, Field(gt=0, lt=1)] = 0.1
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _leaves_rows_to_train_on(self) -> Split:
        if self.validation + self.test >= 1:
            raise ValueError("expected validation and test to be less than all rows together")
        return self


def make_splits(
    name: str,
    labels: tuple[str, ...],
    parts: Mapping[str, LabelledRows],
    split: Split,
    *,
    columns: tuple[str, ...] | None = None,
) -> Splits[LabelledRows]:
    """A data set of the parts that there are; what is missing is cut out of its training rows.

    Args:
        name: What the data is called in messages and the manifest.
        labels: The name of every class.
        parts: ``train``, and perhaps ``validation`` and ``test``.
        split: How to cut.
        columns: What the values of a table's row are.

    Raises:
        DataError: If a part has no rows, there are fewer than two classes, a class has too few rows for every part that
            is cut to have one, or parts have rows of different shapes.
    """
    for part, rows in parts.items():
        if len(rows) == 0:
            raise DataError(f"{name}: expected rows, got none{'' if len(parts) == 1 else f' in {part}'}")
    found = torch.bincount(parts["train"].labels, minlength=len(labels)).tolist()
    present = [label for label, rows in zip(labels, found, strict=True) if rows]
    if len(present) < 2:
        raise DataError(f"{name}: expected rows of at least two classes to train on, got only {present[0]!r}")
    _refuse_few(name, labels, found, [part for part in PARTS if part == "train" or part not in parts])
    _refuse_shapes(name, parts)
    missing = [part for part in PARTS if part not in parts]
    whole = {**parts} | (_cut(parts["train"], missing, split) if missing else {})
    return Splits(name, labels, *(whole[part] for part in PARTS), columns=columns)


def _cut(rows: LabelledRows, missing: Sequence[str], split: Split) -> dict[str, LabelledRows]:
    """Rows of every class for each of the missing parts; what is left over is ``train``."""
    # numpy keeps the numbers of this generator the same in all its releases
    shuffled = np.random.RandomState(split.seed).permutation(len(rows))
    labels = rows.labels.numpy()[shuffled]
    classes = np.split(shuffled[np.argsort(labels, kind="stable")], np.cumsum(np.bincount(labels))[:-1])
    taken: dict[str, list[np.ndarray[tuple[int], np.dtype[np.int64]]]] = {part: [] for part in ("train", *missing)}
    for of_class in classes:
        left, later = of_class, len(missing)
        for part in missing:
            wanted = max(1, round(getattr(split, part) * len(of_class)))
            count = min(wanted, len(left) - later)  # one row stays for each part that comes after, and to train on
            taken[part].append(left[:count])
            left, later = left[count:], later - 1
        taken["train"].append(left)
    return {part: rows.select(torch.from_numpy(np.sort(np.concatenate(each)))) for part, each in taken.items()}


def _refuse_few(name: str, labels: Sequence[str], found: Sequence[int], parts: Sequence[str]) -> None:
    for label, rows in zip(labels, found, strict=True):
        if rows < len(parts):
            raise DataError(
                f"{name}: class {label!r}: expected at least {len(parts)} rows, one each for "
                f"{', '.join(parts)}, got {rows}"
                if len(parts) > 1
                else f"{name}: class {label!r}: expected rows to train on, got none"
            )


def _refuse_shapes(name: str, parts: Mapping[str, LabelledRows]) -> None:
    first = torch.arange(1)
    shapes = {part: tuple(rows.read(first).shape[1:]) for part, rows in parts.items()}
    for part, shape in shapes.items():
        if shape != shapes["train"]:
            raise DataError(f"{name}: {part}: expected rows of shape {shapes['train']}, as those of train, got {shape}")
