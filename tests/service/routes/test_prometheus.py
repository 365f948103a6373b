from collections.abc import Iterator

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.store import Store
from tests.service.running import Service, in_process
from tests.service.wire import Sent, body_of

BODY, _ = body_of([Sent("x", "FP32", np.ones((3, 4), np.float32))])


@pytest.fixture
def fresh_service(shared_store: Store) -> Iterator[Service]:
    """The service, which nobody has asked anything yet."""
    with in_process(shared_store.root) as running:
        yield running


def samples(service: Service) -> dict[tuple[str, ...], float]:
    """Every sample of the service's own, by its name, its model, its version and what other label it has.

    What is of no model has empty ones.
    """
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(service.get("/metrics").text):
        for sample in family.samples:
            if sample.name.startswith("bnserve_"):
                others = [value for label, value in sample.labels.items() if label not in {"model", "version"}]
                model, version = (sample.labels.get(label, "") for label in ("model", "version"))
                found[(sample.name, model, version, *others)] = sample.value
    return found


def counted(service: Service) -> dict[tuple[str, ...], float]:
    """Requests, by their model, version and status."""
    name = "bnserve_inference_requests_total"
    return {key[1:]: value for key, value in samples(service).items() if key[0] == name}


def test_metrics_are_text_that_prometheus_reads(service: Service) -> None:
    expected = "text/plain; version=0.0.4; charset=utf-8"

    response = service.get("/metrics")

    assert (response.status_code, response.headers["content-type"]) == (200, expected)
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert all(family.documentation for name, family in families.items() if name.startswith("bnserve_"))
    assert "process_cpu_seconds" in families


def test_versions_that_answer_are_told_from_those_that_do_not(service: Service) -> None:
    name = "bnserve_model_ready"

    found = {key: value for key, value in samples(service).items() if key[0] == name}

    assert found == {
        (name, "broken", "1"): 0.0,
        (name, "plain", "1"): 1.0,
        (name, "tiny", "1"): 1.0,
        (name, "tiny", "2"): 1.0,
    }


def test_answers_are_counted_with_their_rows_and_seconds(fresh_service: Service) -> None:
    paths = ["/v2/models/tiny/infer"] * 3 + ["/v2/models/tiny/versions/1/infer"]

    for path in paths:
        fresh_service.post(path, content=BODY)

    found = samples(fresh_service)
    assert counted(fresh_service) == {("tiny", "2", "200"): 3.0, ("tiny", "1", "200"): 1.0}
    assert found["bnserve_inference_rows_total", "tiny", "2"] == 9.0
    assert found["bnserve_inference_request_seconds_count", "tiny", "2"] == 3.0
    assert found["bnserve_inference_request_seconds_bucket", "tiny", "2", "+Inf"] == 3.0
    assert 0 < found["bnserve_inference_request_seconds_sum", "tiny", "2"] < 30


def test_refusals_are_counted_by_their_status(fresh_service: Service) -> None:
    fresh_service.post("/v2/models/tiny/infer", content=b"{")
    fresh_service.post("/v2/models/tiny/infer", content=BODY, headers={"Content-Encoding": "br"})
    fresh_service.post("/v2/models/broken/infer", content=BODY)

    found = counted(fresh_service)

    assert found == {("tiny", "2", "400"): 1.0, ("tiny", "2", "415"): 1.0, ("", "", "503"): 1.0}


def test_names_that_are_not_served_become_no_labels(fresh_service: Service) -> None:
    for index in range(20):
        fresh_service.post(f"/v2/models/unknown-{index}/infer", content=BODY)
        fresh_service.post(f"/v2/models/tiny/versions/{index + 10}/infer", content=BODY)

    found = counted(fresh_service)

    assert found == {("", "", "404"): 40.0}
    assert "unknown-" not in fresh_service.get("/metrics").text


def test_each_service_counts_for_itself(shared_store: Store, fresh_service: Service) -> None:
    fresh_service.post("/v2/models/tiny/infer", content=BODY)

    with in_process(shared_store.root) as another:
        found = counted(another)

    assert found == {}


def test_an_empty_store_has_metrics(empty_service: Service) -> None:
    expected = 200

    response = empty_service.get("/metrics")

    assert response.status_code == expected
