"""The past of a model's layers is answered from the database, and its absence keeps nobody from answering."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.store import Store
from tests.service.observing import OBSERVE_ALL, normal_rows, send, until, until_observed
from tests.service.running import Service, in_process

HISTORY = "/v2/models/tiny/normalization/history"
VERSION_HISTORY = "/v2/models/tiny/versions/1/normalization/history"


@pytest.fixture
def observing(tiny: Store) -> Iterator[Service]:
    """The service, observing every row of ``tiny``; windows of 64 rows go to an SQLite file beside the store."""
    with in_process(tiny.root, **OBSERVE_ALL) as running:
        until_observed(running)
        yield running


def ask(service: Service, path: str = HISTORY, **query: str) -> httpx.Response:
    return service.request("GET", path, params=query)


def periods(service: Service, path: str = HISTORY, **query: str) -> list[dict[str, Any]]:
    """What is answered of the past."""
    response = ask(service, path, **query)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["periods"]
    return found


def until_stored(service: Service, windows: int) -> None:
    """Wait until so many windows are in the database."""
    until(lambda: len(periods(service, resolution="window")) == windows)


def test_windows_that_are_closed_are_in_the_history(observing: Service) -> None:
    """Oldest first, with their scores; what is not complete is not there yet."""
    for number, mean in enumerate((0.0, 2.0)):
        send(observing, normal_rows(64, mean=mean))
        until_stored(observing, number + 1)  # windows of runs that are added up together have the same times

    send(observing, normal_rows(10))

    found = periods(observing, resolution="window")
    assert [(one["rows"], one["windows"], one["rows_not_finite"]) for one in found] == [(64, 1, 0)] * 2
    assert [one["drift"]["alarm"] for one in found] == [False, True]
    assert [layer["name"] for layer in found[0]["layers"]] == ["norm"]
    assert list(found[0]["layers"][0]) == ["name", "live", "drift"]


@pytest.mark.parametrize("resolution", ["minute", "hour", "day"])
def test_a_longer_period_is_what_its_windows_are_together(observing: Service, resolution: str) -> None:
    """They may have fallen into two, if the clock was about to strike."""
    send(observing, normal_rows(192))
    until_stored(observing, 3)

    found = periods(observing, resolution=resolution)

    assert len(found) in {1, 2}
    assert (sum(one["rows"] for one in found), sum(one["windows"] for one in found)) == (192, 3)
    assert all(one["until"] > one["since"] for one in found)


def test_only_what_was_asked_for_is_answered(observing: Service) -> None:
    """Between two times, for the day before now if none is named."""
    send(observing, normal_rows(64))
    until_stored(observing, 1)
    now = datetime.now(UTC)
    before, hour = now - timedelta(days=2), timedelta(hours=1)

    found = [
        len(periods(observing, resolution="window")),
        len(periods(observing, resolution="window", **{"from": (now - hour).isoformat()})),
        len(periods(observing, resolution="window", **{"from": before.isoformat(), "to": (now - hour).isoformat()})),
        len(periods(observing, resolution="window", to=(now - hour).isoformat())),
        len(periods(observing, VERSION_HISTORY, resolution="window")),
    ]

    assert found == [1, 1, 0, 0, 1]


def test_without_a_resolution_the_finest_that_fits_is_answered(observing: Service) -> None:
    """Two windows do not fit one period; the minute that they fell into does, or else the hour, or the day."""
    send(observing, normal_rows(128))
    until_stored(observing, 2)

    fits, does_not = periods(observing, limit="2"), ask(observing, limit="1")

    assert [one["windows"] for one in fits] == [1, 1]
    if does_not.status_code == 200:  # else it is midnight
        assert sum(one["windows"] for one in does_not.json()["periods"]) == 2


def test_more_than_the_limit_is_refused_with_what_to_do(observing: Service) -> None:
    """Nothing is cut off silently."""
    send(observing, normal_rows(128))
    until_stored(observing, 2)

    response = ask(observing, resolution="window", limit="1")

    assert response.status_code == 400
    assert response.json()["error"].startswith("resolution: expected at most 1 periods, got more of window; ask for ")


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        (
            {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
            400,
            "from: expected a time before 2026-01-01T00:00:00+00:00, got 2026-01-02T00:00:00+00:00",
        ),
        (
            {"from": "2026-01-01T00:00:00"},
            422,
            "query.from: Input should have timezone info, got '2026-01-01T00:00:00'",
        ),
        ({"to": "yesterday"}, 422, "query.to: Input should be a valid datetime"),
        ({"resolution": "week"}, 422, "query.resolution: Input should be 'window', 'minute', 'hour', 'day' or 'auto'"),
        ({"limit": "0"}, 422, "query.limit: Input should be greater than or equal to 1"),
        ({"limit": "5001"}, 422, "query.limit: Input should be less than or equal to 5000"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    service: Service, query: dict[str, str], status: int, message: str
) -> None:
    """By the name under which it was sent."""
    expected = message

    response = ask(service, **query)

    assert response.status_code == status
    assert response.json()["error"].startswith(expected)


@pytest.mark.parametrize(
    "path", ["/v2/models/unknown/normalization/history", "/v2/models/tiny/versions/9/normalization/history"]
)
def test_what_is_not_served_has_no_history(service: Service, path: str) -> None:
    """As it has no report."""
    expected = 404

    response = ask(service, path)

    assert response.status_code == expected


def test_a_model_that_saw_nothing_has_an_empty_history(service: Service) -> None:
    """Also one without normalization layers."""
    found = [periods(service), periods(service, "/v2/models/plain/normalization/history")]

    assert found == [[], []]


def test_the_open_window_is_in_the_history_after_the_end(tiny: Store) -> None:
    """Whatever was observed survives a restart."""
    with in_process(tiny.root, **OBSERVE_ALL) as before:
        until_observed(before)
        send(before, normal_rows(70))
        until_stored(before, 1)

    with in_process(tiny.root, **OBSERVE_ALL) as after:
        found = periods(after, resolution="window")

    assert [one["rows"] for one in found] == [64, 6]


def test_without_a_history_the_service_answers_and_says_so(tiny: Store) -> None:
    """It was asked for."""
    with in_process(tiny.root, history_url="none", **OBSERVE_ALL) as running:
        until_observed(running)
        send(running, normal_rows(64))
        response = ask(running)

    assert response.status_code == 503
    assert response.json()["error"] == ("history_url: expected the URL of a database, it is none: no history is kept")
    assert not list(tiny.root.parent.glob("*-history*"))


def test_a_database_that_is_away_at_the_start_keeps_nobody_from_answering(tiny: Store, tmp_path: Path) -> None:
    """The history says why it can't be read, and metrics that windows wait."""
    url = f"postgresql://me:secret@/bnserve?host={tmp_path}&connect_timeout=2"
    with in_process(tiny.root, history_url=url, **OBSERVE_ALL) as running:
        until_observed(running)
        send(running, normal_rows(64))
        response = ask(running)
        until(lambda: "bnserve_history_buffered_windows 1.0" in running.get("/metrics").text)
        metrics = running.get("/metrics").text

    assert response.status_code == 503
    assert "secret" not in response.text
    assert "bnserve_history_connected 0.0" in metrics.splitlines()
