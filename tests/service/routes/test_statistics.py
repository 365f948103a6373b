from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from models.store import Store
from tests.service.running import Service, in_process
from tests.service.wire import Sent, body_of

BODY, _ = body_of([Sent("x", "FP32", np.ones((3, 4), np.float32))])
EIGHT = {"success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"}


@pytest.fixture
def fresh_service(shared_store: Store) -> Iterator[Service]:
    """The service, which nobody has asked anything yet."""
    with in_process(shared_store.root) as running:
        yield running


def statistics(service: Service, path: str) -> list[dict[str, Any]]:
    response = service.get(path)
    assert response.status_code == 200
    found: list[dict[str, Any]] = response.json()["model_stats"]
    return found


def test_all_eight_counters_are_there_before_anyone_asks(fresh_service: Service) -> None:
    (found,) = statistics(fresh_service, "/v2/models/tiny/versions/2/stats")

    assert found["inference_stats"].keys() == EIGHT
    assert all(duration == {"count": 0, "ns": 0} for duration in found["inference_stats"].values())
    assert (found["last_inference"], found["inference_count"], found["execution_count"]) == (0, 0, 0)


def test_requests_rows_and_runs_are_counted_for_the_version_that_answered(fresh_service: Service) -> None:
    for _ in range(4):
        fresh_service.post("/v2/models/tiny/infer", content=BODY)

    one, two = statistics(fresh_service, "/v2/models/tiny/stats")

    assert (one["version"], one["inference_count"]) == ("1", 0)
    assert (two["version"], two["inference_count"], two["execution_count"]) == ("2", 12, 4)
    assert two["last_inference"] > 1_600_000_000_000
    counted = two["inference_stats"]
    assert {name: counted[name]["count"] for name in EIGHT} == {
        **dict.fromkeys(EIGHT, 4),
        "fail": 0,
        "cache_hit": 0,
        "cache_miss": 0,
    }
    inside = sum(counted[name]["ns"] for name in ("queue", "compute_input", "compute_infer", "compute_output"))
    assert 0 < counted["compute_infer"]["ns"] <= inside <= counted["success"]["ns"]


def test_what_is_refused_is_counted_as_failed(fresh_service: Service) -> None:
    fresh_service.post("/v2/models/tiny/infer", content=b"{}")

    (found,) = statistics(fresh_service, "/v2/models/tiny/versions/2/stats")

    assert found["inference_stats"]["fail"]["count"] == 1
    assert found["inference_stats"]["fail"]["ns"] > 0
    assert found["inference_stats"]["success"]["count"] == 0


def test_every_version_that_answers_is_listed(fresh_service: Service) -> None:
    found = statistics(fresh_service, "/v2/models/stats")

    assert [(each["name"], each["version"]) for each in found] == [("plain", "1"), ("tiny", "1"), ("tiny", "2")]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/none/stats", 404),
        ("/v2/models/tiny/versions/9/stats", 404),
        ("/v2/models/broken/stats", 503),
    ],
)
def test_statistics_of_what_does_not_answer_are_an_error(service: Service, path: str, status: int) -> None:
    response = service.get(path)

    assert (response.status_code, list(response.json())) == (status, ["error"])
