"""This module tests how rows are let through a folded graph and its probe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from folding.errors import VerificationError
from folding.folded import FoldedGraph
from folding.observing import observe
from folding.verify import VALUES_AT_ONCE
from models.observed_rows import ObservedRows
from models.stacked_moments import StackedMoments
from tests.folding.observed import columns_of, observed, probe_of, run_probe
from tests.training.examples import build, export, normal_rows

ROWS = normal_rows(40, 4)


@pytest.fixture(scope="module")
def graph() -> FoldedGraph:
    network = build(lambda: nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)))
    return export(network, ROWS)


def observe_rows(graph: FoldedGraph, rows: np.ndarray) -> list[ObservedRows]:
    return list(observe(graph.model, probe_of(graph, ROWS), columns_of(graph), [rows]))


def test_few_rows_are_one_batch(graph: FoldedGraph) -> None:
    """All that the probe says of them, in training deviations."""
    (found,) = observe_rows(graph, ROWS.numpy())

    expected = columns_of(graph).read(*run_probe(graph, probe_of(graph, ROWS), ROWS))
    np.testing.assert_array_equal(found.means, expected.means)
    np.testing.assert_array_equal(found.variances, expected.variances)
    assert len(found) == len(ROWS)


def test_many_rows_are_several_batches(graph: FoldedGraph) -> None:
    """As many at once as memory is meant for; together they are all rows."""
    many = np.tile(ROWS.numpy(), (VALUES_AT_ONCE // ROWS.numel() + 1, 1))

    batches = observe_rows(graph, many)

    assert len(batches) == 2
    assert sum(map(len, batches)) == len(many)
    merged = StackedMoments.of(batches[0]).merge(StackedMoments.of(batches[1]))
    # every row is there equally often
    np.testing.assert_allclose(merged.mean, StackedMoments.of(observed(graph, ROWS)).mean, rtol=0, atol=1e-5)


def test_rows_that_are_not_finite_are_counted(graph: FoldedGraph) -> None:
    """And spoil no other row."""
    rows = ROWS.numpy().copy()
    rows[[3, 5], 0] = np.nan, np.inf

    (found,) = observe_rows(graph, rows)

    assert (len(found), found.not_finite) == (len(ROWS) - 2, 2)
    assert np.isfinite(found.means).all()


def test_a_graph_that_cannot_be_run_is_refused(graph: FoldedGraph) -> None:
    """As where the probe is another graph's."""
    other = replace(graph, model=b"")

    with pytest.raises(VerificationError, match=r"^graph: expected one that ONNX Runtime can load"):
        list(observe(other.model, probe_of(graph, ROWS), columns_of(graph), [ROWS.numpy()]))
