from __future__ import annotations

import asyncio
import time

import pytest

from benchmarks.serving.ticks import ticking

RATE = 200.0
NUM_TICKS = 20


def test_ticks_come_at_their_rate_and_end_with_the_block() -> None:
    moments: list[float] = []

    async def run() -> tuple[float, int]:
        enough = asyncio.Event()

        def tick() -> None:
            moments.append(time.perf_counter())
            if len(moments) == NUM_TICKS:
                enough.set()

        started = time.perf_counter()
        with ticking(asyncio.get_running_loop(), RATE, tick):
            await enough.wait()
        told = len(moments)
        await asyncio.sleep(2 / RATE)
        return started, told

    started, told = asyncio.run(run())

    assert len(moments) == told
    # ticks that were missed are told as one, so the last may come later, but never sooner
    assert moments[NUM_TICKS - 1] - started >= NUM_TICKS / RATE - 0.001


def test_the_rate_can_not_be_zero() -> None:
    async def run() -> None:
        with ticking(asyncio.get_running_loop(), 0.0, lambda: None):
            pass

    with pytest.raises(ValueError, match="rate: expected more than 0, got 0"):
        asyncio.run(run())
