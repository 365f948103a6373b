from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from models.bundle import Bundle
from models.store import Store
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from service.normalization import gauges
from service.normalization.gauges import NormalizationCollector
from service.normalization.history import History
from service.normalization.watcher import Watcher
from tests.drafts import draft, uncalibrated
from tests.service.history.parts import until_true
from tests.service.normalization.watching import publish_and_load, run_rows, watching
from tests.service.observing import normal_rows

PREFIX = "bnserve_normalization_"


@pytest.fixture
def watcher(served: ServedModel, bundle: Bundle) -> Iterator[Watcher]:
    """A watcher that observes every run of ``tiny``; windows have 64 rows."""
    with watching() as at_work:
        at_work.follow(served, bundle)
        until_true(lambda: at_work.seen(served) is not None)
        yield at_work


def told(
    watcher: Watcher, *served: ServedModel, version: str = "1", history: History | None = None
) -> dict[str, float]:
    """Every figure, by its name and its layer, as Prometheus reads it."""
    registry = CollectorRegistry()
    registry.register(NormalizationCollector(watcher, lambda: served, history or History("none", Path())))
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            labels = dict(sample.labels)
            layer = labels.pop("layer", None)
            assert labels in ({"model": "tiny", "version": version}, {})
            found[sample.name if layer is None else f"{sample.name}/{layer}"] = sample.value
    return found


def test_before_a_window_is_complete_only_rows_are_told(watcher: Watcher, served: ServedModel) -> None:
    """There is no score yet, and 0 would be one."""
    x = normal_rows(5)
    x[0, 0] = float("nan")
    run_rows(served, x)

    found = told(watcher, served)

    assert found == {
        PREFIX + "observed_share": 1.0,
        PREFIX + "rows_observed_total": 4.0,
        PREFIX + "rows_not_finite_total": 1.0,
        PREFIX + "rows_dropped_total": 0.0,
        PREFIX + "layer_depth/norm": 0.0,
    }


@pytest.mark.parametrize(("mean", "alarm"), [(0.0, 0.0), (2.0, 1.0)])
def test_the_last_window_is_told_for_the_model_and_by_layer(
    watcher: Watcher, served: ServedModel, mean: float, alarm: float
) -> None:
    """Whoever alarms on these gauges hears what the log says."""
    run_rows(served, normal_rows(64, mean=mean))

    found = told(watcher, served)

    judgement = watcher.seen(served).window.judgement  # type: ignore[union-attr]  # there is a window
    assert judgement is not None
    assert found[PREFIX + "score"] == found[PREFIX + "layer_score/norm"] == judgement.score
    assert found[PREFIX + "threshold"] == judgement.threshold
    assert found[PREFIX + "alarm"] == found[PREFIX + "layer_alarm/norm"] == alarm
    assert found[PREFIX + "layer_shift/norm"] >= 0
    assert found[PREFIX + "layer_ratio/norm"] == pytest.approx(1.0, abs=0.5)  # of 64 rows, of unmoved variance


def test_a_layer_far_off_has_a_far_shift(watcher: Watcher, served: ServedModel) -> None:
    """In training deviations, over the channels."""
    run_rows(served, normal_rows(64, mean=5.0))

    found = told(watcher, served)

    assert found[PREFIX + "layer_shift/norm"] > 1.0


def test_without_a_calibration_there_are_distances_and_no_scores(
    watcher: Watcher, store: Store, run_threads: RunThreads
) -> None:
    """As of a network that was exported without real rows."""
    served, bundle = publish_and_load(store, run_threads, draft(observing=uncalibrated()))
    watcher.follow(served, bundle)
    until_true(lambda: watcher.reason(served) is None)
    run_rows(served, normal_rows(64))

    found = told(watcher, served, version="2")

    assert PREFIX + "layer_shift/norm" in found
    assert not [name for name in found if "score" in name or "alarm" in name or "threshold" in name]


def test_what_is_not_observed_has_no_figures(watcher: Watcher, store: Store, run_threads: RunThreads) -> None:
    """A share of 0 would be one too."""
    plain, bundle = publish_and_load(store, run_threads, draft("plain", layers=(), normalization=()))
    watcher.follow(plain, bundle)

    found = told(watcher, plain)

    assert found == {}


def test_a_network_of_many_layers_has_gauges_of_the_first(
    watcher: Watcher, served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels may not grow without bound; the model's own gauges are of all layers."""
    monkeypatch.setattr(gauges, "MOST_LAYERS", 0)
    run_rows(served, normal_rows(64))

    found = told(watcher, served)

    assert PREFIX + "score" in found
    assert not [name for name in found if "/" in name]


def test_the_history_is_told(watcher: Watcher, store: Store) -> None:
    """Whether it is there, and what of it waits, is stored and is lost."""
    history = History("", store.root)
    history.start()
    until_true(lambda: (status := history.status()) is not None and status.connected)

    found = told(watcher, history=history)
    history.close()

    assert found == {
        "bnserve_history_connected": 1.0,
        "bnserve_history_buffered_windows": 0.0,
        "bnserve_history_stored_windows_total": 0.0,
        "bnserve_history_dropped_windows_total": 0.0,
    }
