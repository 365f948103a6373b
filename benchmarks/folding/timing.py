"""This module times several graphs in turn, in one process and one run, so that what slows the machine slows them all.

Every round runs each graph once for at least a block of time, in an order that turns round with every round: A B B A
and so on. What is compared are the times of one round. Where in memory a session's weights land can make it a per
cent faster or slower for as long as it lives, so the sessions are opened anew several times.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime
from pydantic import BaseModel, ConfigDict

from folding.speed import Feed, open_session, time_runs

BLOCK_SECONDS = 0.02
OPENINGS = 4
FEWEST_ROUNDS = 4
"""Of each opening."""


class Ratio(BaseModel):
    """How much longer one graph takes than another: median and quartiles over all rounds."""

    model_config = ConfigDict(frozen=True)

    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Ratio:
        """That of the rounds' ratios, of which there is at least one."""
        values = [*ratios, *ratios] if len(ratios) == 1 else ratios  # one has no quartiles but itself
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median=median, lower=lower, upper=upper)

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.lower:.3f} to {self.upper:.3f})"


class Times:
    """The times of graphs over several rounds, in seconds a run."""

    def __init__(self, rounds: Sequence[Mapping[str, float]]) -> None:
        self._rounds = rounds

    def milliseconds(self, name: str) -> float:
        """Median time of a run."""
        return 1e3 * statistics.median(times[name] for times in self._rounds)

    def ratio(self, name: str, over: str) -> Ratio:
        """Time of one graph over that of another, round by round."""
        return Ratio.of([times[name] / times[over] for times in self._rounds])


def time_in_turn(graphs: Mapping[str, bytes], feed: Feed, *, seconds: float) -> Times:
    """Time graphs that take the same inputs, for so many seconds in all; slow ones get their fewest rounds anyway."""
    rounds: list[dict[str, float]] = []
    for opening in range(OPENINGS):
        names = _turned(list(graphs), opening)
        sessions = {name: open_session(graphs[name]) for name in names}
        repeats = {name: _repeats(session, feed) for name, session in sessions.items()}
        deadline = time.perf_counter() + seconds / OPENINGS
        done = 0
        while done < FEWEST_ROUNDS or time.perf_counter() < deadline:
            order = names if done % 2 == 0 else names[::-1]
            times = {name: time_runs(sessions[name], feed, repeats[name]) / repeats[name] for name in order}
            rounds.append(times)
            done += 1
    return Times(rounds)


def normal_feed(shapes: Mapping[str, Sequence[int]]) -> Feed:
    """Random inputs of these shapes."""
    generator = np.random.default_rng(0)
    return {name: generator.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def _turned(names: list[str], by: int) -> list[str]:
    return names[by % len(names) :] + names[: by % len(names)]


def _repeats(session: onnxruntime.InferenceSession, feed: Feed) -> int:
    session.run(None, dict(feed))
    return max(1, round(BLOCK_SECONDS / (time_runs(session, feed, 2) / 2)))
