"""This module puts figures of channels into the two forms in which they are told: summaries, and lists."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from models.moments import Array
from service.normalization.findings import Finding, LayerFinding
from service.normalization.schemas import (
    ChannelDrift,
    DriftArrays,
    DriftSummaries,
    LiveArrays,
    LiveShare,
    LiveSummaries,
    ShareDrift,
    Summary,
)

WORST_CHANNELS = 5


def summary(values: Array) -> Summary | None:
    """Figures over the channels of which they are known; None where there are none."""
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    return Summary(min=float(known.min()), mean=float(known.mean()), max=float(known.max()))


def listed(values: Array) -> list[float | None]:
    """One figure a channel; None where it is not known."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def live_summaries(finding: Finding, layer: LayerFinding) -> LiveSummaries:
    """What a layer saw, summarized."""
    return LiveSummaries(
        rows=finding.rows,
        since=finding.since,
        until=finding.until,
        mean=summary(layer.moments.mean),
        variance=summary(layer.moments.variance),
    )


def live_arrays(finding: Finding, layer: LayerFinding) -> LiveArrays:
    """What a layer saw, channel by channel."""
    return LiveArrays(
        rows=finding.rows,
        since=finding.since,
        until=finding.until,
        mean=listed(layer.moments.mean),
        variance=listed(layer.moments.variance),
    )


def drift_summaries(finding: Finding, layer: LayerFinding) -> DriftSummaries:
    """How far a layer is from what it was trained on, summarized."""
    distance = layer.distance
    return DriftSummaries(
        **_judged(finding, layer),
        unobservable_channels=_unobservable(layer),
        shift=summary(distance.shift),
        ratio=summary(distance.ratio),
        symmetric_kl=summary(distance.symmetric_kl),
        squared_wasserstein=summary(distance.squared_wasserstein),
        worst_channels=_worst(layer),
    )


def drift_arrays(finding: Finding, layer: LayerFinding) -> DriftArrays:
    """How far a layer is from what it was trained on, channel by channel."""
    distance = layer.distance
    return DriftArrays(
        **_judged(finding, layer),
        unobservable_channels=_unobservable(layer),
        shift=listed(distance.shift),
        ratio=listed(distance.ratio),
        symmetric_kl=listed(distance.symmetric_kl),
        squared_wasserstein=listed(distance.squared_wasserstein),
    )


def live_share(finding: Finding, found: LayerFinding) -> LiveShare:
    """What share of an input's values was at its atoms."""
    return LiveShare(
        rows=finding.rows,
        since=finding.since,
        until=finding.until,
        share=float(found.moments.mean[0]),
        deviation=float(np.sqrt(found.moments.variance[0])),
    )


def share_drift(finding: Finding, found: LayerFinding) -> ShareDrift:
    """How far that share is from what it was."""
    return ShareDrift(
        **_judged(finding, found), shift=float(found.distance.shift[0]), ratio=float(found.distance.ratio[0])
    )


def _judged(finding: Finding, layer: LayerFinding) -> dict[str, Any]:
    threshold = None if finding.judgement is None else finding.judgement.threshold
    return {
        "score": layer.score,
        "threshold": threshold,
        "alarm": None if layer.score is None or threshold is None else layer.score > threshold,
    }


def _unobservable(layer: LayerFinding) -> int:
    return int(np.isnan(layer.distance.shift).sum())


def _worst(layer: LayerFinding) -> list[ChannelDrift]:
    distance = layer.distance
    kl = distance.symmetric_kl
    order = np.argsort(-np.nan_to_num(kl, nan=-1.0, posinf=np.inf))[:WORST_CHANNELS]
    return [
        ChannelDrift(
            channel=int(channel),
            shift=float(distance.shift[channel]),
            ratio=float(distance.ratio[channel]),
            symmetric_kl=float(kl[channel]) if math.isfinite(kl[channel]) else None,
        )
        for channel in order
        if not math.isnan(distance.shift[channel])
    ]
