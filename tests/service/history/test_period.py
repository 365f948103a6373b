from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from models.moments import Moments
from service.history.period import RolledUp, merge_layers, start_of
from tests.service.history.parts import window


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [
        ("minute", datetime(2026, 3, 31, 22, 59, tzinfo=UTC)),
        ("hour", datetime(2026, 3, 31, 22, 0, tzinfo=UTC)),
        ("day", datetime(2026, 3, 31, tzinfo=UTC)),
    ],
)
def test_a_period_begins_by_the_clock_of_utc(resolution: RolledUp, expected: datetime) -> None:
    summer = timezone(timedelta(hours=2))

    assert start_of(datetime(2026, 4, 1, 0, 59, 59, 999_999, tzinfo=summer), resolution) == expected


def test_a_period_that_begins_now_is_the_one_of_now() -> None:
    midnight = datetime(2026, 4, 1, tzinfo=UTC)

    assert start_of(midnight, "day") == midnight


LAYER = Moments(1, np.zeros(2), np.zeros(2))


@pytest.mark.parametrize(
    ("theirs", "problem"),
    [
        ((LAYER,), "layer 1 to merge: expected 2 channels, got none"),
        ((LAYER, Moments.empty(3)), "layer 1 to merge: expected 2 channels, got 3 channels"),
        ((LAYER, LAYER, LAYER), "layer 2 to merge: expected none, got 2 channels"),
    ],
)
def test_other_layers_are_not_merged(theirs: tuple[Moments, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        merge_layers((LAYER, LAYER), theirs)


def test_a_window_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="until of a window: expected a time with its zone, got 2026-01-01T00:00:00"):
        replace(window(), until=datetime(2026, 1, 1))
