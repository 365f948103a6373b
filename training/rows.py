"""This module reads rows from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.errors import RecipeError, one_line


def read_rows(path: Path) -> dict[str, Tensor]:
    """The arrays of an ``.npz`` file, as tensors by name.

    Raises:
        RecipeError: If it is no such file, or holds anything but plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: torch.from_numpy(archive[name]) for name in archive.files}
    except Exception as error:  # numpy, zipfile and torch raise a dozen kinds for what is no such file
        raise RecipeError(f"{path}: expected an .npz file of plain arrays: {one_line(error)}") from error
