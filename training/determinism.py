"""This module has torch compute the same numbers every time, for as long as a fit takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic

from folding.errors import one_line
from training.errors import RecipeError

REFUSAL = "does not have a deterministic implementation"


@contextmanager
def deterministic_kernels() -> Iterator[None]:
    """Let torch use no kernel whose result depends on chance; as before, after the block.

    Memory that nothing has been written to yet is not filled, as torch would do otherwise at every allocation: no
    kernel reads what it has not written.

    Raises:
        RecipeError: If an operator of the network has no other kernel on this device.
    """
    before = torch.are_deterministic_algorithms_enabled(), fills_memory()
    torch.use_deterministic_algorithms(True)
    _set_fills_memory(False)
    try:
        yield
    except RuntimeError as error:
        if REFUSAL not in str(error):
            raise
        operator = one_line(error).partition(REFUSAL)[0].strip()
        raise RecipeError(
            f"network: expected operators that give the same numbers every time, got {operator}"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0])
        _set_fills_memory(before[1])


def fills_memory() -> bool:
    """Whether torch fills memory that nothing has been written to yet."""
    return bool(deterministic.fill_uninitialized_memory)  # type: ignore[attr-defined]  # it is made when it is read


def _set_fills_memory(fills: bool) -> None:
    deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
