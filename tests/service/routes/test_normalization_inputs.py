"""What the input of a network holds is answered beside its layers, where it has atoms."""

import logging
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from models.store import Store
from tests.drafts import draft, grounded
from tests.service.observing import OBSERVE_ALL, normal_rows, report, send, until, until_observed
from tests.service.running import Service, in_process

HISTORY = "/v2/models/tiny/normalization/history?resolution=window"
MOVED = "model tiny version 1: its data has moved, at input x (score "


@pytest.fixture
def observing(store: Store) -> Iterator[Service]:
    """The service, observing every row of ``tiny``, whose input has atoms; windows have 64 rows."""
    store.publish(draft(ground=True))
    with in_process(store.root, **OBSERVE_ALL) as running:
        until_observed(running)
        yield running


def rows(*, value: float = 0.0) -> NDArray[np.float32]:
    """A window of rows with half of their values on a ground, which is at the atom if it is 0."""
    return grounded(normal_rows(64), seed=5, value=value)


def test_before_any_row_the_report_tells_of_training_alone(observing: Service) -> None:
    """An input has its place in the report all the same."""
    (found,) = report(observing)["inputs"]

    assert list(found) == ["name", "channels", "values", "training", "live", "drift"]
    assert (found["name"], found["channels"], found["live"], found["drift"]) == ("x", 4, None, None)
    assert found["values"] == {"min": 0.0, "mean": 0.0, "max": 0.0}
    assert list(found["training"]) == ["share", "deviation"]


def test_what_an_input_holds_stands_beside_what_it_held_in_training(observing: Service) -> None:
    """As shares of a row's values."""
    x = rows()
    send(observing, x)

    (found,) = report(observing)["inputs"]

    assert list(found["live"]) == ["rows", "since", "until", "share", "deviation"]
    assert list(found["drift"]) == ["score", "threshold", "alarm", "shift", "ratio"]
    assert (found["live"]["rows"], found["live"]["share"]) == (64, pytest.approx((x == 0).mean()))


@pytest.mark.parametrize(("value", "alarm"), [(0.0, False), (0.003, True)])
def test_a_ground_that_is_left_by_little_is_told_of_the_model(observing: Service, value: float, alarm: bool) -> None:
    """By its input alone: no layer is the first one."""
    send(observing, rows(value=value))

    found = report(observing)

    (layer,), (of_input,) = found["layers"], found["inputs"]
    assert (found["drift"]["alarm"], found["drift"]["first_layer"]) == (alarm, None)
    assert (layer["drift"]["alarm"], of_input["drift"]["alarm"]) == (False, alarm)


def test_the_form_of_one_layer_has_nothing_of_inputs(observing: Service) -> None:
    """It is what it was."""
    send(observing, rows())

    layer = observing.get("/v2/models/tiny/normalization/layers/norm").json()

    assert list(layer)[-4:] == ["training", "health", "live", "drift"]
    assert list(layer["drift"])[:4] == ["score", "threshold", "alarm", "unobservable_channels"]
    assert len(layer["live"]["mean"]) == 3


def test_windows_that_are_closed_are_in_the_history_with_their_inputs(observing: Service) -> None:
    """With their scores, since a window's rows are as many as can be judged."""
    send(observing, rows(value=0.003))

    until(lambda: len(observing.get(HISTORY).json()["periods"]) == 1)

    (found,) = observing.get(HISTORY).json()["periods"]
    (of_input,) = found["inputs"]
    assert list(of_input) == ["name", "live", "drift"]
    assert (of_input["name"], of_input["drift"]["alarm"]) == ("x", True)
    assert of_input["live"]["share"] == pytest.approx(0.0, abs=1e-9)
    assert (found["drift"]["alarm"], found["drift"]["first_layer"]) == (True, None)
    assert [layer["drift"]["alarm"] for layer in found["layers"]] == [False]


def test_what_an_input_holds_is_told_to_prometheus(observing: Service) -> None:
    """Under its name, with the version's labels."""
    send(observing, rows(value=0.003))

    lines = observing.get("/metrics").text.splitlines()

    assert 'bnserve_normalization_input_alarm{input="x",model="tiny",version="1"} 1.0' in lines
    assert 'bnserve_normalization_alarm{model="tiny",version="1"} 1.0' in lines
    assert 'bnserve_normalization_layer_alarm{layer="norm",model="tiny",version="1"} 0.0' in lines


def test_the_log_says_that_only_an_input_moved(observing: Service, caplog: pytest.LogCaptureFixture) -> None:
    """There is no layer to name."""
    with caplog.at_level(logging.WARNING):
        send(observing, rows(value=0.003))
        until(lambda: MOVED in caplog.text)

    assert "first at layer" not in caplog.text
