"""This module tells Prometheus what the layers of every served version see, and how the history does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.inference.served_model import ServedModel
from service.normalization.findings import find
from service.normalization.history import History
from service.normalization.watcher import Watcher

MOST_LAYERS = 200
"""Layers of a version that have gauges of their own, from the first; the model's gauges are of all of them."""

VERSION = ("model", "version")
PREFIX = "bnserve_normalization_"


class NormalizationCollector(Collector):
    """Reads what there is when asked; of each version the last window that is complete.

    Args:
        watcher: Has it.
        served: Every version that answers.
        history: How that does is told too.
    """

    def __init__(self, watcher: Watcher, served: Callable[[], Iterable[ServedModel]], history: History) -> None:
        self._watcher = watcher
        self._served = served
        self._history = history

    def describe(self) -> Iterable[Metric]:
        """Every family, without figures."""
        return [*_Families().all(), *_history_families()]

    def collect(self) -> Iterable[Metric]:
        """Every family with its figures."""
        families = _Families()
        for served in self._served():
            families.add(served, self._watcher)
        yield from families.all()
        yield from _history_families(self._history)


class _Families:
    def __init__(self) -> None:
        def gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(PREFIX + name, text, labels=[*VERSION, *labels])

        def counter(name: str, text: str) -> CounterMetricFamily:
            return CounterMetricFamily(PREFIX + name, text, labels=VERSION)

        self._share = gauge("observed_share", "Share of a version's runs that are observed.")
        self._observed = counter("rows_observed", "Rows that were observed and count.")
        self._not_finite = counter("rows_not_finite", "Rows that were observed and are NaN or infinite somewhere.")
        self._dropped = counter("rows_dropped", "Rows that were observed and not counted, as too much waited.")
        self._score = gauge("score", "Of the last window: the largest score of its layers and inputs.")
        self._threshold = gauge("threshold", "What the score is beyond in as many windows as the alarm rate says.")
        self._alarm = gauge("alarm", "1 where the score is beyond the threshold, else 0.")
        self._layer_depth = gauge(
            "layer_depth", "A layer's place in the order in which data meets them, from 0.", "layer"
        )
        self._layer_score = gauge("layer_score", "Of the last window: a layer's score.", "layer")
        self._layer_alarm = gauge("layer_alarm", "1 where a layer's score is beyond the threshold, else 0.", "layer")
        self._layer_shift = gauge(
            "layer_shift", "Of the last window: mean absolute shift of a layer's channels, in deviations.", "layer"
        )
        self._layer_ratio = gauge(
            "layer_ratio", "Of the last window: geometric mean of a layer's ratios of variances.", "layer"
        )

        self._input_share = gauge(
            "input_share", "Of the last window: share of an input's values at its atoms.", "input"
        )
        self._input_score = gauge("input_score", "Of the last window: an input's score.", "input")
        self._input_alarm = gauge("input_alarm", "1 where an input's score is beyond the threshold, else 0.", "input")

    def all(self) -> list[Metric]:
        """Every family."""
        return list(vars(self).values())

    def add(self, served: ServedModel, watcher: Watcher) -> None:
        """Add one version's."""
        seen, judge, labels = watcher.seen(served), watcher.judge(served), (served.name, served.version)
        if seen is None or judge is None:
            return
        self._share.add_metric(labels, seen.share)
        self._observed.add_metric(labels, seen.total.rows)
        self._not_finite.add_metric(labels, seen.total.not_finite)
        self._dropped.add_metric(labels, seen.rows_dropped)
        for depth, layer in enumerate(served.layers[:MOST_LAYERS]):
            self._layer_depth.add_metric((*labels, layer.name), depth)
        found = None if seen.window is None else find(seen, "window", judge, served.watched)
        if found is None:
            return
        if found.judgement is not None:
            self._score.add_metric(labels, found.judgement.score)
            self._threshold.add_metric(labels, found.judgement.threshold)
            self._alarm.add_metric(labels, float(found.judgement.alarm))
        for layer, one in list(zip(served.layers, found.layers, strict=False))[:MOST_LAYERS]:
            named = (*labels, layer.name)
            shift, ratio = (known[np.isfinite(known)] for known in (one.distance.shift, one.distance.ratio))
            if shift.size:
                self._layer_shift.add_metric(named, float(np.abs(shift).mean()))
            if (ratio > 0).any():
                self._layer_ratio.add_metric(named, float(np.exp(np.log(ratio[ratio > 0]).mean())))
            if one.score is not None and found.judgement is not None:
                self._layer_score.add_metric(named, one.score)
                self._layer_alarm.add_metric(named, float(one.score > found.judgement.threshold))
        for atoms, one in zip(served.atoms, found.layers[len(served.layers) :], strict=True):
            named = (*labels, atoms.input)
            self._input_share.add_metric(named, float(one.moments.mean[0]))
            if one.score is not None and found.judgement is not None:
                self._input_score.add_metric(named, one.score)
                self._input_alarm.add_metric(named, float(one.score > found.judgement.threshold))


def _history_families(history: History | None = None) -> Iterator[Metric]:
    connected = GaugeMetricFamily("bnserve_history_connected", "1 where the database answered last, else 0.")
    buffered = GaugeMetricFamily("bnserve_history_buffered_windows", "Windows that wait to be stored.")
    stored = CounterMetricFamily("bnserve_history_stored_windows", "Windows that were stored.")
    dropped = CounterMetricFamily("bnserve_history_dropped_windows", "Windows that never will be.")
    status = None if history is None else history.status()
    if status is not None:
        connected.add_metric((), float(status.connected))
        buffered.add_metric((), status.buffered)
        stored.add_metric((), status.stored)
        dropped.add_metric((), status.dropped)
    yield from (connected, buffered, stored, dropped)
