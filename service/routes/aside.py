"""This module does in a thread what would hold up the event loop for too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

ASIDE_BYTES = 2**20
"""What works on more bytes goes to a thread, so that others are answered meanwhile; less is done sooner than that."""

Result = TypeVar("Result")


async def aside(do: Callable[..., Result], *arguments: object, size: int) -> Result:
    """Do something, in a thread if it works on many bytes."""
    if size <= ASIDE_BYTES:
        return do(*arguments)
    return await asyncio.to_thread(do, *arguments)
