from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.inference.job import Outcome, RunTimes
from service.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    """Metrics of a service that nobody has asked anything."""
    return Metrics()


def values(metrics: Metrics, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The samples of a name, by their labels."""
    families = text_string_to_metric_families(metrics.text().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sorted(sample.labels.items())): sample.value for sample in samples}


def labels(**named: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(named.items()))


TINY = {"model": "tiny", "version": "3"}


def test_nothing_is_counted_before_the_first_request(metrics: Metrics) -> None:
    names = ("bnserve_inference_requests_total", "bnserve_inference_rows_total", "bnserve_inference_batch_rows_count")

    found = [values(metrics, name) for name in names]

    assert found == [{}, {}, {}]


def test_an_answer_counts_a_request_its_rows_and_its_times(metrics: Metrics) -> None:
    counted = metrics.of_version("tiny", "3")

    counted.answered(rows=5, seconds=0.03, outcome=Outcome([], 0.002, 0.02))
    counted.answered(rows=2, seconds=0.25, outcome=Outcome([], 0.0, 0.2))

    assert values(metrics, "bnserve_inference_requests_total") == {labels(**TINY, status="200"): 2.0}
    assert values(metrics, "bnserve_inference_rows_total") == {labels(**TINY): 7.0}
    for name, total in (("request", 0.28), ("queue", 0.002), ("compute", 0.22)):
        assert values(metrics, f"bnserve_inference_{name}_seconds_sum") == {labels(**TINY): pytest.approx(total)}
        assert values(metrics, f"bnserve_inference_{name}_seconds_count") == {labels(**TINY): 2.0}


def test_buckets_count_everything_up_to_their_bound(metrics: Metrics) -> None:
    counted = metrics.of_version("tiny", "3")

    for rows in (1, 2, 2, 300):
        counted.ran(RunTimes(rows, 1, 0.0, 0.0, 0.0))

    buckets = {dict(key)["le"]: count for key, count in values(metrics, "bnserve_inference_batch_rows_bucket").items()}
    assert (buckets["1.0"], buckets["2.0"], buckets["256.0"], buckets["+Inf"]) == (1, 3, 3, 4)


def test_a_refusal_counts_a_request_and_its_time_and_nothing_else(metrics: Metrics) -> None:
    counted = metrics.of_version("tiny", "3")

    counted.refused(status=400, seconds=0.5)
    counted.refused(status=500, seconds=0.25)
    counted.refused(status=500, seconds=0.25)

    found = values(metrics, "bnserve_inference_requests_total")
    assert {dict(key)["status"]: value for key, value in found.items()} == {"400": 1.0, "500": 2.0}
    assert values(metrics, "bnserve_inference_failed_seconds_total")[labels(**TINY)] == 1.0
    assert values(metrics, "bnserve_inference_rows_total") == {labels(**TINY): 0.0}


def test_requests_for_no_model_that_is_known_have_empty_labels(metrics: Metrics) -> None:
    metrics.unknown().refused(status=404, seconds=0.0)

    found = values(metrics, "bnserve_inference_requests_total")

    assert found == {labels(model="", version="", status="404"): 1.0}


def test_a_version_that_comes_back_goes_on_where_it_was(metrics: Metrics) -> None:
    metrics.of_version("tiny", "3").refused(status=400, seconds=0.0)

    metrics.of_version("tiny", "3").refused(status=400, seconds=0.0)

    assert values(metrics, "bnserve_inference_requests_total") == {labels(**TINY, status="400"): 2.0}


def test_two_services_in_one_process_count_apart(metrics: Metrics) -> None:
    another = Metrics()

    metrics.unknown().refused(status=404, seconds=0.0)

    assert values(another, "bnserve_inference_requests_total") == {}


def test_the_process_is_measured(metrics: Metrics) -> None:
    names = ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds")

    found = [values(metrics, name) for name in names]

    assert all(value > 0 for samples in found for value in samples.values())
    assert all(samples.keys() == {()} for samples in found)


def test_a_worker_tells_what_it_did_at_once_and_no_process_figures(tmp_path: Path) -> None:
    worker = Metrics(tmp_path)

    worker.of_version("tiny", "3").refused(status=400, seconds=0.0)

    assert values(worker, "bnserve_inference_requests_total") == {labels(**TINY, status="400"): 1.0}
    assert values(worker, "process_cpu_seconds_total") == {}
