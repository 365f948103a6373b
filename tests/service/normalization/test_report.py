from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle
from models.draft import BundleDraft
from models.store import Store
from service.errors import NotFound
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from service.normalization.figures import summary
from service.normalization.findings import Over, finding
from service.normalization.judgement import Judgement
from service.normalization.report import describe_layer, describe_layers, drift_of_model
from service.normalization.schemas import DriftOfModel, Observation
from service.normalization.watcher import Watcher
from tests.drafts import TRAINING_ROWS, draft
from tests.service.history.parts import until_true
from tests.service.inference.registries import loader_of
from tests.service.normalization.watching import idle_watcher, judge_of, run_rows, sight_of, watching
from tests.service.observing import normal_rows

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
OVER_ROWS: Mapping[Over, int] = {"window": 64, "total": 70}
"""Of 70 rows, where windows have 64."""


def served_as(store: Store, run_threads: RunThreads, published: BundleDraft) -> ServedModel:
    """A draft, published and loaded."""
    bundle = store.publish(published)
    return loader_of(store, run_threads)(bundle.manifest.name, bundle.manifest.version)


@pytest.fixture
def watcher() -> Watcher:
    """One that observes nothing yet."""
    return idle_watcher()


@pytest.fixture
def model(store: Store, run_threads: RunThreads) -> ServedModel:
    """A draft as it is."""
    return served_as(store, run_threads, draft())


def with_layer(name: str = "norm", **figures: Any) -> BundleDraft:  # noqa: ANN401
    """A draft whose layer has another name or other figures."""
    tiny = draft()
    (record,), (layer,) = tiny.layers, tiny.normalization
    return replace(
        tiny, layers=(record.model_copy(update={"name": name}),), normalization=(replace(layer, name=name, **figures),)
    )


def with_layers(*names: str) -> BundleDraft:
    """A draft that has its layer several times."""
    drafts = [with_layer(name) for name in names]
    return replace(
        draft(),
        layers=tuple(each.layers[0] for each in drafts),
        normalization=tuple(each.normalization[0] for each in drafts),
    )


def test_a_report_names_the_model_and_its_version(model: ServedModel, watcher: Watcher) -> None:
    expected = ("tiny", "1")

    report = describe_layers(model, watcher, "window")

    assert (report.model_name, report.model_version) == expected


def test_a_layer_is_summarized_over_its_channels(model: ServedModel, watcher: Watcher) -> None:
    layer = draft().normalization[0]

    training = describe_layers(model, watcher, "window").layers[0].training

    for figure in ("gamma", "beta", "mean", "variance"):
        summary, values = getattr(training, figure), getattr(layer, figure)
        assert (summary.min, summary.mean, summary.max) == (values.min(), values.mean(), values.max())


def test_a_layer_is_described_with_the_numbers_of_its_bundle(model: ServedModel, watcher: Watcher) -> None:
    layer = draft().normalization[0]

    training = describe_layer(model, "norm", watcher, "window").training

    for figure in ("gamma", "beta", "mean", "variance"):
        np.testing.assert_array_equal(getattr(training, figure), getattr(layer, figure))


def test_both_forms_describe_a_layer_alike(model: ServedModel, watcher: Watcher) -> None:
    figures = {"training"}

    summary, detail = (
        describe_layers(model, watcher, "window").layers[0],
        describe_layer(model, "norm", watcher, "window"),
    )

    assert summary.model_dump(exclude=figures) == detail.model_dump(exclude=figures)


def test_layers_keep_the_order_in_which_data_meets_them(
    store: Store, run_threads: RunThreads, watcher: Watcher
) -> None:
    names = ["b", "a.10", "a.9", "c"]

    report = describe_layers(served_as(store, run_threads, with_layers(*names)), watcher, "window")

    assert [layer.name for layer in report.layers] == names


def test_the_rows_are_those_behind_the_statistics(model: ServedModel, watcher: Watcher) -> None:
    expected = TRAINING_ROWS

    found = (
        describe_layers(model, watcher, "window").layers[0].training.rows,
        describe_layer(model, "norm", watcher, "window").training.rows,
    )

    assert found == (expected, expected)


def test_a_network_of_unknown_training_has_no_rows(store: Store, run_threads: RunThreads, watcher: Watcher) -> None:
    model = served_as(store, run_threads, draft(training=None))

    found = (
        describe_layers(model, watcher, "window").layers[0].training.rows,
        describe_layer(model, "norm", watcher, "window").training.rows,
    )

    assert found == (None, None)


def test_a_healthy_layer_has_no_findings(model: ServedModel, watcher: Watcher) -> None:
    layer = describe_layer(model, "norm", watcher, "window")

    findings = layer.health

    assert findings == []


@pytest.mark.parametrize(
    ("figures", "flag", "channels"),
    [
        ({"gamma": np.array([0.0, 1.0, 1.0])}, "dead-channels", 1),
        ({"gamma": np.array([0.01, 1.0, 1.0]), "variance": np.array([0.0, 1.0, 2.0])}, "collapsed-variance", 1),
        ({"variance": np.array([1e7, 1.0, 2.0])}, "exploded-variance", 1),
        ({"mean": np.zeros(3), "variance": np.ones(3)}, "never-updated", 3),
    ],
)
def test_what_is_wrong_with_a_layer_is_told(
    store: Store, run_threads: RunThreads, figures: dict[str, Any], flag: str, channels: int, watcher: Watcher
) -> None:
    model = served_as(store, run_threads, with_layer(**figures))

    summary, detail = (
        describe_layers(model, watcher, "window").layers[0],
        describe_layer(model, "norm", watcher, "window"),
    )

    assert [(finding.flag, finding.channels) for finding in detail.health] == [(flag, channels)]
    assert detail.health[0].message
    assert summary.health == detail.health


def test_a_network_that_never_counted_its_batches_was_never_updated(
    store: Store, run_threads: RunThreads, watcher: Watcher
) -> None:
    record = draft().layers[0].model_copy(update={"num_batches_tracked": 0})
    model = served_as(store, run_threads, draft(layers=(record,)))

    findings = describe_layer(model, "norm", watcher, "window").health

    assert [finding.flag for finding in findings] == ["never-updated"]


def test_a_network_without_normalization_layers_has_an_empty_report(
    store: Store, run_threads: RunThreads, watcher: Watcher
) -> None:
    model = served_as(store, run_threads, draft(layers=(), normalization=()))

    report = describe_layers(model, watcher, "window")

    assert (report.model_name, report.model_version, report.layers) == ("tiny", "1", [])


@pytest.mark.parametrize(
    ("asked", "nearest"), [("norm", "norm1"), ("layer1.0.bn2", "layer1.0.bn1"), ("feature.4", "features.4")]
)
def test_a_layer_that_is_not_there_is_told_with_the_nearest(
    store: Store, run_threads: RunThreads, asked: str, nearest: str, watcher: Watcher
) -> None:
    model = served_as(store, run_threads, with_layers("norm1", "layer1.0.bn1", "features.4"))

    with pytest.raises(NotFound) as refusal:
        describe_layer(model, asked, watcher, "window")

    assert str(refusal.value) == (
        f"model 'tiny' version 1 has no normalization layer {asked!r}; the nearest is {nearest!r}"
    )


@pytest.mark.parametrize("name", ["layer1.0.bn1", "a/b", "ünïcödé", "with space", "_orig_mod.features.1"])
def test_a_layer_is_found_by_its_qualified_name(
    store: Store, run_threads: RunThreads, name: str, watcher: Watcher
) -> None:
    model = served_as(store, run_threads, with_layer(name))

    layer = describe_layer(model, name, watcher, "window")

    assert layer.name == name


def test_a_bundle_that_is_gone_can_still_be_described(store: Store, model: ServedModel, watcher: Watcher) -> None:
    manifest: Path = store.bundle_path("tiny", 1) / "manifest.json"
    manifest.unlink()

    report = describe_layers(model, watcher, "window")

    assert [layer.name for layer in report.layers] == ["norm"]


def test_what_is_not_observed_yet_has_nothing_live(model: ServedModel, watcher: Watcher) -> None:
    """The report says why, and how it will be."""
    report = describe_layers(model, watcher, "window")

    assert report.observation == Observation(
        share=0.0,
        budget=watcher.rules.budget,
        rows_seen=0,
        rows_observed=0,
        rows_not_finite=0,
        rows_dropped=0,
        reason="the graph that observes is being opened",
    )
    assert (report.drift, report.layers[0].live, report.layers[0].drift) == (None, None, None)


def test_both_forms_describe_what_was_seen_over_the_same_rows(served: ServedModel, bundle: Bundle) -> None:
    """The summaries are those of the arrays."""
    with watching() as watcher:
        watcher.follow(served, bundle)
        until_true(lambda: watcher.reason(served) is None)
        run_rows(served, normal_rows(70))

        for over, rows in OVER_ROWS.items():
            report, detail = describe_layers(served, watcher, over), describe_layer(served, "norm", watcher, over)
            (layer,) = report.layers

            assert report.drift is not None
            assert layer.live is not None
            assert detail.live is not None
            assert (report.drift.rows, layer.live.rows, detail.live.rows) == (rows, rows, rows)
            assert layer.live.mean == summary(np.array(detail.live.mean, np.float64))
            assert layer.drift is not None
            assert detail.drift is not None
            assert layer.drift.shift == summary(np.array(detail.drift.shift, np.float64))
            assert layer.drift.score == detail.drift.score == report.drift.score


def test_a_finding_without_a_judgement_has_no_first_layer(served: ServedModel, bundle: Bundle) -> None:
    """And neither alarms nor does not."""
    found = finding(
        sight_of(bundle, normal_rows(3)).moments.of_inputs(judge_of(bundle).columns, served.layers),
        served.layers,
        rows=3,
        since=NOON,
        until=NOON,
        judgement=None,
    )

    drift = drift_of_model(served, found)

    assert drift == DriftOfModel(rows=3, score=None, threshold=None, alarm=None, first_layer=None)


def test_the_first_layer_that_moved_is_named(store: Store, run_threads: RunThreads, bundle: Bundle) -> None:
    """Of those beyond the threshold the one that data meets first."""
    model = served_as(store, run_threads, with_layers("one", "two", "three"))
    (moments,) = sight_of(bundle, normal_rows(3)).moments.of_inputs(judge_of(bundle).columns, model.layers[:1])
    judgement = Judgement([0.5, 6.0, 9.0], threshold=5.0)
    found = finding([moments] * 3, model.layers, rows=3, since=NOON, until=NOON, judgement=judgement)

    drift = drift_of_model(model, found)

    assert drift == DriftOfModel(rows=3, score=9.0, threshold=5.0, alarm=True, first_layer="two")
