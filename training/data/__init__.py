"""This package is the data; every data set is listed here by the name that recipes and manifests use."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from training.data import digits
from training.data.splits import Rows, Splits
from training.errors import RecipeError

__all__ = ["DATA", "Rows", "Splits", "load_data"]

DATA: Mapping[str, Callable[[], Splits]] = {
    "digits": digits.load,
}


def load_data(name: str) -> Splits:
    """Load a data set by its registered name.

    Raises:
        RecipeError: If no data set has this name.
    """
    if name not in DATA:
        raise RecipeError(f"data: expected one of {', '.join(DATA)}, got {name!r}")
    return DATA[name]()
