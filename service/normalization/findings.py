"""This module reads from what was seen over some rows how far each layer is from what it was trained on.

Inputs that have atoms are found like layers, behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from models.layers import Distance, NormalizationLayer
from models.moments import Moments
from service.normalization.judgement import Judge, Judgement
from service.normalization.seen import Seen

Over = Literal["window", "total"]
"""Which rows: those of the last window that is complete, or all since the start."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerFinding:
    """What was found of one layer.

    Attributes:
        moments: Of its input; NaN in channels that can't be observed.
        distance: Of them from its training statistics; NaN likewise.
        score: None where it can't be judged.
    """

    moments: Moments
    distance: Distance
    score: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What was found over some rows.

    Attributes:
        rows: So many, at least one.
        since: When the first one came.
        until: When the last one did.
        judgement: None where they can't be judged.
        layers: In the manifest's order, then inputs that have atoms.
    """

    rows: int
    since: datetime
    until: datetime
    judgement: Judgement | None
    layers: tuple[LayerFinding, ...]


def find(seen: Seen, over: Over, judge: Judge, layers: Sequence[NormalizationLayer]) -> Finding | None:
    """What was found over some of the rows that were seen; None where there are none."""
    if over == "total":
        sight, judgement = seen.total, judge.judge(seen.total.moments)
    else:
        sight, judgement = seen.shown.sight, seen.shown.judgement
    if not sight.rows:
        return None
    assert sight.since is not None, "a row came at some time"
    assert sight.until is not None, "a row came at some time"
    return finding(
        sight.moments.of_inputs(judge.columns, layers),
        layers,
        rows=sight.rows,
        since=datetime.fromtimestamp(sight.since, UTC),
        until=datetime.fromtimestamp(sight.until, UTC),
        judgement=judgement,
    )


def finding(
    moments: Sequence[Moments],
    layers: Sequence[NormalizationLayer],
    *,
    rows: int,
    since: datetime,
    until: datetime,
    judgement: Judgement | None,
) -> Finding:
    """What was found, from the moments of each layer's input; the rest is as ``Finding`` says."""
    scores: Sequence[float | None] = [None] * len(layers) if judgement is None else judgement.scores
    return Finding(
        rows=rows,
        since=since,
        until=until,
        judgement=judgement,
        layers=tuple(
            LayerFinding(found, Distance.between(layer, found), score)
            for layer, found, score in zip(layers, moments, scores, strict=True)
        ),
    )
