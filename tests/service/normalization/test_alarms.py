import logging

import pytest

from models.bundle import Bundle
from models.store import Store
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from service.normalization.alarms import Alarms
from service.normalization.judgement import Judgement
from service.normalization.seen import ClosedWindow
from tests.service.inference.registries import loader_of, publish
from tests.service.normalization.watching import sight_of
from tests.service.observing import normal_rows

THRESHOLD = 5.0


@pytest.fixture
def window_of(bundle: Bundle) -> "WindowOf":
    """Makes windows with scores."""
    return WindowOf(bundle)


class WindowOf:
    """Makes windows of 40 rows of one layer."""

    def __init__(self, bundle: Bundle) -> None:
        self._sight = sight_of(bundle, normal_rows(40))

    def __call__(self, score: float | None) -> ClosedWindow:
        """One of this score; None for one that could not be judged."""
        return ClosedWindow(self._sight, None if score is None else Judgement([score], THRESHOLD))


def test_each_change_is_logged_once(served: ServedModel, window_of: WindowOf, caplog: pytest.LogCaptureFixture) -> None:
    """However many windows alarm, and however many do not."""
    alarms = Alarms()

    with caplog.at_level(logging.INFO):
        for score in (0.1, 7.25, 9.0, 0.2, 0.3, 8.0):
            alarms.tell(served, window_of(score))

    assert [(record.levelname, record.message) for record in caplog.records] == [
        (
            "WARNING",
            "model tiny version 1: its data has moved, first at layer norm (score 7.2, threshold 5.0, over 40 rows)",
        ),
        ("INFO", "model tiny version 1: its data is as it was in training again"),
        (
            "WARNING",
            "model tiny version 1: its data has moved, first at layer norm (score 8.0, threshold 5.0, over 40 rows)",
        ),
    ]


def test_a_window_that_could_not_be_judged_changes_nothing(
    served: ServedModel, window_of: WindowOf, caplog: pytest.LogCaptureFixture
) -> None:
    """It says neither that the alarm is over nor that there is one."""
    alarms = Alarms()

    with caplog.at_level(logging.INFO):
        for score in (None, 7.0, None, 7.0):
            alarms.tell(served, window_of(score))

    assert len(caplog.records) == 1


def test_versions_alarm_each_for_itself(
    store: Store, run_threads: RunThreads, window_of: WindowOf, caplog: pytest.LogCaptureFixture
) -> None:
    """The one that is out of date does, the one that was recalibrated does not."""
    publish(store, 2)
    alarms, load = Alarms(), loader_of(store, run_threads)
    one, other = load("tiny", 1), load("tiny", 2)

    with caplog.at_level(logging.INFO):
        for served, score in ((one, 7.0), (other, 0.1), (one, 7.0), (other, 8.0)):
            alarms.tell(served, window_of(score))

    assert [" ".join(record.message.split()[:4]) for record in caplog.records] == [
        "model tiny version 1:",
        "model tiny version 2:",
    ]
