"""This module describes the normalization layers of a served model: what each is, was trained on, and sees now."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from models.health import health_flags
from models.layers import NormalizationLayer
from models.manifest import LayerRecord
from models.moments import Array
from service.errors import NotFound
from service.inference.served_model import ServedModel
from service.normalization.figures import (
    drift_arrays,
    drift_summaries,
    live_arrays,
    live_share,
    live_summaries,
    share_drift,
    summary,
)
from service.normalization.findings import Finding, Over, find
from service.normalization.schemas import (
    DriftOfModel,
    Health,
    InputReport,
    LayerDescription,
    LayerDetail,
    LayerSummary,
    NormalizationReport,
    Observation,
    TrainingArrays,
    TrainingShare,
    TrainingSummaries,
)
from service.normalization.seen import Seen
from service.normalization.watcher import Watcher


def describe_layers(model: ServedModel, watcher: Watcher, over: Over) -> NormalizationReport:
    """Every layer in its summarized form; an empty list where the model has none."""
    seen = watcher.seen(model)
    finding = _find(model, watcher, seen, over)
    layers = [
        LayerSummary(
            **_description(record),
            training=TrainingSummaries(rows=_rows(model), **_figures(layer, summary)),
            health=_health(model, record, layer),
            live=None if finding is None else live_summaries(finding, finding.layers[number]),
            drift=None if finding is None else drift_summaries(finding, finding.layers[number]),
        )
        for number, (record, layer) in enumerate(zip(model.manifest.layers, model.layers, strict=True))
    ]
    return NormalizationReport(
        model_name=model.name,
        model_version=model.version,
        observation=_observation(model, watcher, seen),
        drift=None if finding is None else drift_of_model(model, finding),
        folding=model.manifest.folding,
        layers=layers,
        inputs=_describe_inputs(model, finding),
        untracked=list(model.manifest.untracked),
    )


def describe_layer(model: ServedModel, name: str, watcher: Watcher, over: Over) -> LayerDetail:
    """One layer in its detailed form.

    Raises:
        NotFound: If the model has no such layer; the text names the nearest.
    """
    for number, (record, layer) in enumerate(zip(model.manifest.layers, model.layers, strict=True)):
        if record.name == name:
            finding = _find(model, watcher, watcher.seen(model), over)
            return LayerDetail(
                **_description(record),
                training=TrainingArrays(rows=_rows(model), **_figures(layer, np.ndarray.tolist)),
                health=_health(model, record, layer),
                live=None if finding is None else live_arrays(finding, finding.layers[number]),
                drift=None if finding is None else drift_arrays(finding, finding.layers[number]),
            )
    raise NotFound(_no_such_layer(model, name))


def drift_of_model(model: ServedModel, finding: Finding) -> DriftOfModel:
    """How far a model is from what it was trained on."""
    judgement = finding.judgement
    if judgement is None:
        return DriftOfModel(rows=finding.rows, score=None, threshold=None, alarm=None, first_layer=None)
    first = judgement.first_layer
    return DriftOfModel(
        rows=finding.rows,
        score=judgement.score,
        threshold=judgement.threshold,
        alarm=judgement.alarm,
        first_layer=None if first is None else model.layers[first].name,
    )


def _describe_inputs(model: ServedModel, finding: Finding | None) -> list[InputReport]:
    """Every input that has atoms."""
    return [
        InputReport(
            name=one.input,
            channels=len(one.channels),
            values=summary(one.values),
            training=TrainingShare(share=one.share, deviation=math.sqrt(one.variance)),
            live=None if finding is None else live_share(finding, finding.layers[number]),
            drift=None if finding is None else share_drift(finding, finding.layers[number]),
        )
        for number, one in enumerate(model.atoms, start=len(model.layers))
    ]


def _find(model: ServedModel, watcher: Watcher, seen: Seen | None, over: Over) -> Finding | None:
    judge = watcher.judge(model)
    return None if judge is None or seen is None else find(seen, over, judge, model.watched)


def _observation(model: ServedModel, watcher: Watcher, seen: Seen | None) -> Observation:
    return Observation(
        share=0.0 if seen is None else seen.share,
        budget=watcher.rules.budget,
        rows_seen=0 if seen is None else seen.rows_seen,
        rows_observed=0 if seen is None else seen.total.rows,
        rows_not_finite=0 if seen is None else seen.total.not_finite,
        rows_dropped=0 if seen is None else seen.rows_dropped,
        reason=watcher.reason(model),
    )


def _description(record: LayerRecord) -> dict[str, Any]:
    return {field: getattr(record, field) for field in LayerDescription.model_fields}


def _rows(model: ServedModel) -> int | None:
    """The rows behind the statistics: those that they were re-estimated from last."""
    manifest = model.manifest
    if manifest.recalibration is not None:
        return manifest.recalibration.rows
    return None if manifest.training is None else manifest.training.rows


def _figures(layer: NormalizationLayer, form: Callable[[Array], Any]) -> dict[str, Any]:
    return {field: form(getattr(layer, field)) for field in ("gamma", "beta", "mean", "variance")}


def _health(model: ServedModel, record: LayerRecord, layer: NormalizationLayer) -> list[Health]:
    average = model.moving_averages.get(layer.name)
    flags = health_flags(layer, num_batches_tracked=record.num_batches_tracked, moving_average=average)
    return [Health(flag=flag.flag, channels=flag.channels, message=flag.message) for flag in flags]


def _no_such_layer(model: ServedModel, name: str) -> str:
    names: Sequence[str] = [record.name for record in model.manifest.layers]
    nearest = max(names, key=lambda known: difflib.SequenceMatcher(None, name, known).ratio(), default=None)
    hint = "; it has no normalization layers" if nearest is None else f"; the nearest is {nearest!r}"
    return f"model {model.name!r} version {model.version} has no normalization layer {name!r}{hint}"
