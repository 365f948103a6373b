"""This module tells an event loop of moments at a constant rate, exact to some 50 microseconds.

The timers of uvloop and asyncio count whole milliseconds, in which a small network answers several requests. The
kernel's own timer, ``timerfd``, is a file that becomes readable at every tick.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator

CLOCK_MONOTONIC = 1
TFD_NONBLOCK = os.O_NONBLOCK
NANOSECONDS = 1_000_000_000
COUNT_BYTES = 8


class _Interval(ctypes.Structure):
    """``struct itimerspec``."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("first_s", ctypes.c_long),
        ("first_ns", ctypes.c_long),
    )


@contextlib.contextmanager
def ticking(loop: asyncio.AbstractEventLoop, rate: float, ticked: Callable[[], None]) -> Iterator[None]:
    """Call ``ticked`` at every tick for as long as the block runs; once for all that the loop was too busy for.

    Args:
        loop: Where it is called.
        rate: Ticks a second; the first comes one period from now.
        ticked: What to call.

    Raises:
        ValueError: If the rate is not above 0.
        OSError: If the kernel has no such timer.
    """
    if not rate > 0:
        raise ValueError(f"rate: expected more than 0, got {rate:g}")
    library = ctypes.CDLL(None, use_errno=True)
    timer = _checked(library.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK))
    seconds, nanoseconds = divmod(round(NANOSECONDS / rate), NANOSECONDS)

    def tick() -> None:
        os.read(timer, COUNT_BYTES)  # how many ticks have passed; it is readable again at the next
        ticked()

    interval = _Interval(seconds, nanoseconds, seconds, nanoseconds)
    try:
        _checked(library.timerfd_settime(timer, 0, ctypes.byref(interval), None))
        loop.add_reader(timer, tick)
        yield
    finally:
        loop.remove_reader(timer)
        os.close(timer)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
