"""This module makes up for classes of unequal size: by weights in the loss, or by what is drawn."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Weights ``(num_classes,)`` by which every class counts as much in a loss, and the average row counts 1.

    That is ``rows / (classes * rows of the class)``; 0 for a class without rows.

    Args:
        labels: Numbers of classes, ``(rows,)``.
        num_classes: How many there are.
    """
    counts = torch.bincount(labels, minlength=num_classes)
    present = counts > 0
    return torch.where(present, len(labels) / (present.sum() * counts.clamp(min=1)), 0.0).to(torch.float32)


def draw_balanced(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers of rows ``(rows,)`` in a random order, of which every class has as many, to within one.

    A class of few rows has each of them several times, none twice more than another; a class of many has some of them.
    """
    classes = torch.nonzero(torch.bincount(labels)).flatten()
    each, left = divmod(len(labels), len(classes))
    drawn = []
    for rank, number in enumerate(classes[torch.randperm(len(classes), generator=generator)]):
        rows, wanted = torch.nonzero(labels == number).flatten(), each + (rank < left)
        rounds = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(math.ceil(wanted / len(rows)))]
        drawn.append(torch.cat([rows[:0], *rounds])[:wanted])
    order = torch.cat(drawn)
    return order[torch.randperm(len(order), generator=generator)]
