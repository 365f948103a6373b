"""This module is the embedded data set: 1,797 handwritten digits of 8x8 pixels that scikit-learn ships.

Pixels stay as they are, whole numbers from 0 to 16, so that a row from ``sklearn.datasets.load_digits`` can be sent
to the service unchanged. No standardization is lost by that: the first normalization layer does it.

Source: Alpaydin & Kaynak (1998), "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from training.data.splits import Rows, Splits

TEST_ROWS = 300
VALIDATION_ROWS = 297
SPLIT_SEED = 20150211
"""Fixed for good, so that accuracies can be compared; it is the day on which the paper appeared."""


class Digits(BaseModel):
    """The embedded digits, cut for good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["digits"] = "digits"

    def load(self) -> Splits:
        """Rows ``(rows, 1, 8, 8)`` in float32: 1,200 to train on, 297 to validate, 300 to test, every class in each."""
        digits = load_digits()
        images = torch.from_numpy(digits.images).to(torch.float32).unsqueeze(1)
        labels = torch.from_numpy(digits.target).to(torch.int64)

        def split(rows: list[int], held_out: int) -> tuple[list[int], list[int]]:
            kept, out = train_test_split(rows, test_size=held_out, stratify=labels[rows], random_state=SPLIT_SEED)
            return sorted(kept), sorted(out)

        rest, test = split(list(range(len(labels))), TEST_ROWS)
        train, validation = split(rest, VALIDATION_ROWS)
        parts = [Rows(images[rows], labels[rows]) for rows in (train, validation, test)]
        return Splits("digits", tuple(str(name) for name in digits.target_names), *parts)
