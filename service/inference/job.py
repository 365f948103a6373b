"""This module is one request's rows on their way through the engine, and how rows of several share a run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Mapping[str, Array]


class Outcome(NamedTuple):  # here and below: made for every request, and a frozen dataclass takes four times as long
    """What became of a job.

    Attributes:
        outputs: In the order in which they were wanted, all rows of each.
        queue_s: How long its first row waited, in seconds.
        compute_s: How long runs took in which its rows were, in seconds.
    """

    outputs: Sequence[Array]
    queue_s: float
    compute_s: float


class RunTimes(NamedTuple):
    """One run: its rows, the requests in it, and what it took to join their inputs, run, and split, in seconds."""

    rows: int
    requests: int
    input_s: float
    infer_s: float
    output_s: float


@dataclass(slots=True, eq=False)
class Job:
    """One request's rows.

    Attributes:
        inputs: Every input of the graph, the same number of rows in each.
        outputs: Names of those that are wanted, in the order in which they are wanted.
        rows: How many.
        kind: What its rows must have in common with others to share a run: their shapes.
        priority: Lower goes first.
        deadline: When an answer is no longer wanted, as ``time.perf_counter`` counts; None for never.
        answer: Takes the outcome, or the error.
        queued_at: When it came, by the same clock.
    """

    inputs: Arrays
    outputs: Sequence[str]
    rows: int
    kind: object
    priority: int
    deadline: float | None
    answer: asyncio.Future[Outcome]
    queued_at: float
    started_at: float | None = None
    next_row: int = 0
    rows_done: int = 0
    compute_s: float = 0.0
    pieces: list[Sequence[Array]] | None = None

    @property
    def rows_left(self) -> int:
        """Rows that have not been run."""
        return self.rows - self.next_row

    def take(self, most: int, now: float) -> Piece:
        """Take the next rows, at most so many, to be run now."""
        if self.started_at is None:
            self.started_at = now
            if self.rows <= most:
                self.next_row = self.rows
                return Piece(self, self.inputs, self.rows)
        start, self.next_row = self.next_row, min(self.rows, self.next_row + most)
        part = slice(start, self.next_row)
        return Piece(self, {name: array[part] for name, array in self.inputs.items()}, self.next_row - start)

    def finish(self, outputs: Sequence[Array], *, rows: int, seconds: float) -> None:
        """Keep the answers to some rows, in their order, whose run took so long; answer once there are all."""
        if self.answer.done():  # its client gave up meanwhile
            return
        self.compute_s += seconds
        self.rows_done += rows
        if rows < self.rows:
            self.pieces = self.pieces or []
            self.pieces.append(outputs)
            if self.rows_done < self.rows:
                return
            outputs = [np.concatenate(parts) for parts in zip(*self.pieces, strict=True)]
        assert self.started_at is not None, "rows were taken, so a run has started"
        self.answer.set_result(Outcome(outputs, self.started_at - self.queued_at, self.compute_s))

    def give_up(self) -> None:
        """Have no rows left to run."""
        self.next_row = self.rows

    def fail(self, error: Exception) -> None:
        """Answer with an error."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Piece(NamedTuple):
    """Rows of one job that run together: all of them, unless they are more than one run takes."""

    job: Job
    inputs: Arrays
    rows: int


def join(pieces: Sequence[Piece], *, rows: int) -> Arrays:
    """The inputs of one run: the rows of all pieces, and copies of the last one up to ``rows``."""
    if len(pieces) == 1 and pieces[0].rows == rows:
        return pieces[0].inputs
    joined = {}
    padding = rows - sum(piece.rows for piece in pieces)
    for name in pieces[0].inputs:
        arrays = [piece.inputs[name] for piece in pieces]
        if padding:
            arrays.append(np.repeat(arrays[-1][-1:], padding, axis=0))
        joined[name] = np.concatenate(arrays)
    return joined


def wanted_outputs(pieces: Sequence[Piece]) -> Sequence[str]:
    """Names of all outputs that any of the pieces wants, each once."""
    first = pieces[0].job.outputs
    if all(piece.job.outputs == first for piece in pieces):
        return first
    return list(dict.fromkeys(name for piece in pieces for name in piece.job.outputs))


def split(pieces: Sequence[Piece], names: Sequence[str], outputs: Sequence[Array]) -> list[Sequence[Array]]:
    """The outputs of one run, each piece's rows of those that it wants."""
    if len(pieces) == 1 and len(outputs[0]) == pieces[0].rows:
        return [outputs]
    by_name = dict(zip(names, outputs, strict=True))
    parts: list[Sequence[Array]] = []
    start = 0
    for piece in pieces:
        stop = start + piece.rows
        parts.append([by_name[name][start:stop] for name in piece.job.outputs])
        start = stop
    return parts
