from concurrent.futures import Executor

import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.store import Store
from service.inference.registry import Registry
from service.inference.served_model import ServedModel
from service.metrics import Metrics


@pytest.fixture
def metrics(store: Store) -> Metrics:
    """Metrics of a service that has no models."""

    def load(name: str, number: int) -> ServedModel:
        raise AssertionError(f"{name} {number}: an empty store has nothing to load")

    return Metrics(Registry(store, load))


def values(metrics: Metrics, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The samples of a name, by their labels."""
    families = text_string_to_metric_families(metrics.text().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sorted(sample.labels.items())): sample.value for sample in samples}


def labels(**named: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(named.items()))


def test_nothing_is_counted_before_the_first_request(metrics: Metrics) -> None:
    names = ("bnserve_inference_requests_total", "bnserve_inference_rows_total", "bnserve_model_ready")

    found = [values(metrics, name) for name in names]

    assert found == [{}, {}, {}]


def test_an_answer_counts_a_request_its_rows_and_its_seconds(metrics: Metrics) -> None:
    tiny = {"model": "tiny", "version": "3"}

    metrics.answered("tiny", "3", rows=5, seconds=0.03)
    metrics.answered("tiny", "3", rows=2, seconds=0.25)

    assert values(metrics, "bnserve_inference_requests_total") == {labels(**tiny, status="200"): 2.0}
    assert values(metrics, "bnserve_inference_rows_total") == {labels(**tiny): 7.0}
    assert values(metrics, "bnserve_inference_request_seconds_sum") == {labels(**tiny): pytest.approx(0.28)}
    assert values(metrics, "bnserve_inference_request_seconds_count") == {labels(**tiny): 2.0}


@pytest.mark.parametrize(("seconds", "edge"), [(0.0002, "0.0005"), (0.03, "0.05"), (0.05, "0.05"), (60.0, "+Inf")])
def test_seconds_fall_into_the_first_bucket_that_holds_them(metrics: Metrics, seconds: float, edge: str) -> None:
    metrics.answered("tiny", "1", rows=1, seconds=seconds)

    buckets = values(metrics, "bnserve_inference_request_seconds_bucket")

    filled = [dict(key)["le"] for key, count in buckets.items() if count == 1.0]
    assert min(filled, key=float) == edge


def test_a_refusal_counts_a_request_and_nothing_else(metrics: Metrics) -> None:
    metrics.refused("tiny", "1", status=400)
    metrics.refused("tiny", "1", status=500)
    metrics.refused("tiny", "1", status=500)

    found = values(metrics, "bnserve_inference_requests_total")

    assert {dict(key)["status"]: value for key, value in found.items()} == {"400": 1.0, "500": 2.0}
    assert values(metrics, "bnserve_inference_rows_total") == {}
    assert values(metrics, "bnserve_inference_request_seconds_count") == {}


def test_two_services_in_one_process_count_apart(store: Store, executor: Executor, metrics: Metrics) -> None:
    assert executor is not None

    def load(name: str, number: int) -> ServedModel:
        raise AssertionError(f"{name} {number}: an empty store has nothing to load")

    another = Metrics(Registry(store, load))

    metrics.refused("tiny", "1", status=400)

    assert values(another, "bnserve_inference_requests_total") == {}


def test_the_process_is_measured(metrics: Metrics) -> None:
    names = ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds")

    found = [values(metrics, name) for name in names]

    assert all(value > 0 for samples in found for value in samples.values())
    assert all(samples.keys() == {()} for samples in found)
