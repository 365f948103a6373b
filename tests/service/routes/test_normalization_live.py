"""What layers see is answered beside what they saw in training, once rows were answered."""

from collections.abc import Iterator

import numpy as np
import pytest

from models.store import Store
from tests.drafts import draft
from tests.service.observing import OBSERVE_ALL, normal_rows, report, send, until, until_observed
from tests.service.running import Service, in_process

LAYER = "/v2/models/tiny/normalization/layers/norm"


@pytest.fixture
def observing(store: Store) -> Iterator[Service]:
    """The service, observing every row of ``tiny``."""
    store.publish(draft())
    store.publish(draft("plain", layers=(), normalization=()))
    store.publish(draft("old", observing=None))
    with in_process(store.root, **OBSERVE_ALL) as running:
        until_observed(running)
        yield running


def test_before_any_row_there_is_nothing_live(observing: Service) -> None:
    """And the report says that everything is observed."""
    found = report(observing)

    assert found["observation"] == {
        "share": 1.0,
        "budget": 0.02,
        "rows_seen": 0,
        "rows_observed": 0,
        "rows_not_finite": 0,
        "rows_dropped": 0,
        "reason": None,
    }
    assert (found["drift"], found["layers"][0]["live"], found["layers"][0]["drift"]) == (None, None, None)


def test_what_a_layer_sees_stands_beside_what_it_saw_in_training(observing: Service) -> None:
    """In the same units."""
    send(observing, normal_rows(64))

    (layer,) = report(observing)["layers"]

    assert list(layer["live"]) == ["rows", "since", "until", "mean", "variance"]
    assert layer["live"]["rows"] == 64
    for figure in ("mean", "variance"):
        assert list(layer["live"][figure]) == ["min", "mean", "max"]
    # three channels of 64 rows: their variance is known to a fifth of itself or so
    assert layer["live"]["variance"]["max"] == pytest.approx(layer["training"]["variance"]["max"], rel=0.8)


@pytest.mark.parametrize(("mean", "alarm", "first"), [(0.0, False, None), (2.0, True, "norm")])
def test_drift_is_told_of_the_model_and_of_its_layers(
    observing: Service, mean: float, alarm: bool, first: str | None
) -> None:
    """A window of 64 rows is judged; the model's first layer beyond the threshold is named."""
    send(observing, normal_rows(64, mean=mean))

    found = report(observing)

    (layer,) = found["layers"]
    assert (found["drift"]["rows"], found["drift"]["alarm"], found["drift"]["first_layer"]) == (64, alarm, first)
    assert found["drift"]["score"] == layer["drift"]["score"]
    assert (layer["drift"]["alarm"], layer["drift"]["unobservable_channels"]) == (alarm, 0)
    assert sorted(worst["channel"] for worst in layer["drift"]["worst_channels"]) == [0, 1, 2]


def test_a_window_is_not_the_total(observing: Service) -> None:
    """The last 64 rows moved, those before did not."""
    send(observing, normal_rows(64))
    send(observing, normal_rows(64, mean=4.0))
    send(observing, normal_rows(10))

    window, total = report(observing, over="window"), report(observing, over="total")

    assert (window["drift"]["rows"], total["drift"]["rows"]) == (64, 138)
    shifts = [found["layers"][0]["drift"]["worst_channels"][0]["shift"] for found in (window, total)]
    assert abs(shifts[0]) > abs(shifts[1])
    assert report(observing) == window


def test_before_a_window_is_complete_its_rows_are_shown_without_a_score(observing: Service) -> None:
    """They could still become anything."""
    send(observing, normal_rows(40))

    found = report(observing)

    assert found["drift"] == {"rows": 40, "score": None, "threshold": None, "alarm": None, "first_layer": None}
    assert found["layers"][0]["live"]["rows"] == 40


def test_a_layer_is_told_channel_by_channel(observing: Service) -> None:
    """The summaries are of these lists."""
    send(observing, normal_rows(64, mean=1.0))
    (summarized,) = report(observing)["layers"]

    layer = observing.get(LAYER).json()

    for part, figures in (("live", ["mean", "variance"]), ("drift", ["shift", "ratio", "symmetric_kl"])):
        for figure in figures:
            values = np.array(layer[part][figure])
            assert values.shape == (3,)
            assert summarized[part][figure] == {"min": values.min(), "mean": values.mean(), "max": values.max()}
    assert "worst_channels" not in layer["drift"]


@pytest.mark.parametrize("of", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_both_forms_are_there_by_version_and_by_default(observing: Service, of: str) -> None:
    """Over the window and over everything."""
    send(observing, normal_rows(70))

    rows = [
        observing.get(f"{of}/normalization{layer}?over={over}").json()
        for layer in ("", "/layers/norm")
        for over in ("window", "total")
    ]

    assert [found["drift"]["rows"] for found in rows[:2]] == [64, 70]
    assert [found["live"]["rows"] for found in rows[2:]] == [64, 70]


@pytest.mark.parametrize("path", ["/v2/models/tiny/normalization", LAYER])
def test_over_what_is_none_of_both_is_refused(observing: Service, path: str) -> None:
    """The answer says what there is."""
    expected = "query.over: Input should be 'window' or 'total', got 'day'"

    response = observing.get(f"{path}?over=day")

    assert (response.status_code, response.json()) == (422, {"error": expected})


@pytest.mark.parametrize(
    ("model", "reason"), [("plain", "it has no normalization layers"), ("old", "its bundle has no probe")]
)
def test_what_is_not_observed_says_why(observing: Service, model: str, reason: str) -> None:
    """It answers all the same."""
    until(lambda: report(observing, model)["observation"]["reason"] == reason)
    send(observing, normal_rows(3), model)

    found = report(observing, model)

    assert found["observation"]["reason"] == reason
    assert (found["observation"]["share"], found["observation"]["rows_observed"], found["drift"]) == (0.0, 0, None)
    assert [layer["live"] for layer in found["layers"]] == [None] * len(found["layers"])


def test_rows_that_are_not_finite_are_answered_and_counted_apart(observing: Service) -> None:
    """Others of the same request count."""
    x = normal_rows(5)
    x[1, 2], x[3, 0] = np.nan, np.inf

    send(observing, x)

    observation = report(observing)["observation"]
    assert (observation["rows_seen"], observation["rows_observed"], observation["rows_not_finite"]) == (5, 3, 2)


@pytest.mark.parametrize("of", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_a_reset_forgets_what_was_seen(observing: Service, of: str) -> None:
    """Its answer is the report as after a start."""
    send(observing, normal_rows(70))

    answer = observing.post(f"{of}/normalization/reset")

    assert answer.status_code == 200
    assert answer.json() == report(observing)
    assert answer.json()["observation"]["rows_seen"] == 0
    assert answer.json()["drift"] is None


def test_clients_that_may_change_nothing_may_not_reset(tiny: Store) -> None:
    """What others look at would be gone."""
    with in_process(tiny.root, repository_control=False) as running:
        response = running.post("/v2/models/tiny/normalization/reset")

    assert response.status_code == 403
    assert response.json()["error"].startswith("repository_control: expected true")


def test_observing_can_be_off(tiny: Store) -> None:
    """The report says what was set."""
    with in_process(tiny.root, observe_share=0.0) as running:
        send(running, normal_rows(3))
        until(lambda: "observing is off" in report(running)["observation"]["reason"])
        found = report(running)

    assert found["observation"]["reason"] == "observing is off (observe_share, observe_budget)"
    assert found["observation"]["rows_observed"] == 0


def test_what_is_observed_is_told_to_prometheus(observing: Service) -> None:
    """With the version's labels, and a layer's own."""
    send(observing, normal_rows(64, mean=2.0))

    lines = observing.get("/metrics").text.splitlines()

    assert 'bnserve_normalization_alarm{model="tiny",version="1"} 1.0' in lines
    assert 'bnserve_normalization_layer_alarm{layer="norm",model="tiny",version="1"} 1.0' in lines
    assert 'bnserve_normalization_rows_observed_total{model="tiny",version="1"} 64.0' in lines
    assert not [line for line in lines if line.startswith("bnserve_normalization") and "plain" in line]


def test_a_version_that_is_published_later_is_observed_too(observing: Service, store: Store) -> None:
    """From when it answers."""
    store.publish(draft(seed=1))
    observing.refresh()
    until_observed(observing)

    send(observing, normal_rows(3))

    found = report(observing)
    assert (found["model_version"], found["observation"]["rows_observed"]) == ("2", 3)
