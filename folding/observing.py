"""This module lets rows through a folded graph and its probe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import onnx
from numpy.typing import NDArray

from folding.batch_statistics import even_batches
from folding.references import GraphSession
from folding.verify import VALUES_AT_ONCE, values_a_row
from models.observed_rows import PROBE_OUTPUTS, Columns, ObservedRows


def observe(graph: bytes, probe: bytes, columns: Columns, rows: Sequence[NDArray[Any]]) -> Iterator[ObservedRows]:
    """What the probe tells of rows, batch by batch.

    Args:
        graph: The folded graph.
        probe: As ``make_probe`` made it.
        columns: Of its layers and inputs.
        rows: One array an input, ``(rows, ...)``.

    Raises:
        VerificationError: If the graph can't be run.
    """
    session = GraphSession(onnx.load_from_string(graph + probe), [])
    for batch in even_batches(rows, max(1, VALUES_AT_ONCE // values_a_row(rows))):
        found = session.run(batch)
        yield columns.read(*(found[name] for name in PROBE_OUTPUTS))
