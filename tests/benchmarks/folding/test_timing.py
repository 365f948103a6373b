from __future__ import annotations

import pytest

from benchmarks.folding.exports import INPUT
from benchmarks.folding.operator_graphs import write_operators
from benchmarks.folding.speed import time_architecture
from benchmarks.folding.timing import normal_feed, time_in_turn

SHAPE = (2, 8)


def test_a_ratio_and_its_inverse_are_of_the_same_rounds() -> None:
    graphs = write_operators(SHAPE)
    few = {name: graphs[name] for name in ("kept", "deleted")}

    times = time_in_turn(few, normal_feed({INPUT: SHAPE}), seconds=0.01)

    ratio, inverse = times.ratio("kept", over="deleted"), times.ratio("deleted", over="kept")
    assert 0 < ratio.lower <= ratio.median <= ratio.upper
    assert ratio.lower == pytest.approx(1 / inverse.upper, rel=0.1)  # quartiles are interpolated between two rounds
    assert times.milliseconds("kept") > 0


def test_an_architecture_is_timed_against_torchs_export() -> None:
    record = time_architecture("mlp", 0.01)

    assert record.speedup.median > 0
    assert record.normalization_nodes == (0, 0)
    assert record.same_operators
