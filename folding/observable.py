"""This module finds what a folded graph needs to be observed: a probe, its inputs' atoms, and a calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from folding.atoms import find_atoms
from folding.calibration import calibrate
from folding.folded import FoldedGraph
from folding.observing import observe
from folding.probe import make_probe
from models.atoms import Atoms
from models.observed_rows import Columns
from models.observing import Observing


def make_observable(
    graph: FoldedGraph,
    rows: Sequence[NDArray[Any]],
    *,
    held_out: Sequence[NDArray[Any]] | None,
    seed: int,
    atoms: tuple[Atoms, ...] = (),
) -> Observing | None:
    """What a graph needs to be observed; None where it has no normalization layers.

    Args:
        graph: What was folded.
        rows: At least one row, one array an input.
        held_out: Rows that the network was not fitted to, likewise; without them nothing is calibrated.
        seed: Of the windows that are drawn from them.
        atoms: Of its inputs, if they are known; found in the held-out rows if there are any.

    Raises:
        VerificationError: If the graph can't be run.
    """
    if not graph.layers:
        return None
    if held_out is not None:
        atoms = find_atoms(graph.inputs, held_out)
    probe = make_probe(graph, rows, atoms)
    assert probe is not None, "it has layers"
    if held_out is None:
        return Observing(probe, atoms, None)
    columns = Columns.of(graph.layers, graph.normalization, graph.tap_maps, atoms)
    return Observing(probe, atoms, calibrate(columns, list(observe(graph.model, probe, columns, held_out)), seed=seed))
