"""Recalibration over HTTP: what it takes, what it answers, and each refusal's status and sentence."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from models.pins import DEFAULT_FILE
from models.store import Store
from tests.drafts import INPUTS, draft
from tests.service.running import Service, in_process
from tests.service.wire import Sent, body_of

TINY = "/v2/models/tiny/normalization/recalibrate"
FIRST = "/v2/models/tiny/versions/1/normalization/recalibrate"
HEADER_LENGTH = "Inference-Header-Content-Length"
FORCE = {"force": True}
"""What a network with random weights predicts says nothing."""


def rows(count: int, *, seed: int = 1) -> NDArray[np.float32]:
    """Rows that are further apart than those of training, and elsewhere."""
    return np.random.default_rng(seed).normal(1.0, 2.0, (count, INPUTS)).astype(np.float32)


def sent(array: NDArray[Any], *further: Sent, **parameters: object) -> dict[str, Any]:
    """A request in JSON, as httpx takes it."""
    body, _ = body_of([Sent("x", "FP32", array), *further], parameters=parameters)
    return {"content": body}


def error(response: httpx.Response, status: int) -> str:
    """The sentence of an answer that is no success."""
    assert response.status_code == status, response.text
    sentence: str = response.json()["error"]
    return sentence


def default_of(service: Service) -> str:
    """Which version answers where a request names none."""
    answer = service.post("/v2/models/tiny/infer", **sent(rows(1))).json()
    return str(answer["model_version"])


@pytest.fixture
def service(tiny: Store) -> Iterator[Service]:
    """The service on version 1 of ``tiny``, keeping no rows."""
    with in_process(tiny.root) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with version 1 of ``tiny``; tests share it, so none publishes to it."""
    store = Store(tmp_path_factory.mktemp("store"))
    store.publish(draft())
    return store


@pytest.fixture(scope="module")
def refusing(lasting: Store) -> Iterator[Service]:
    """The service on that store, keeping no rows; tests ask it for what it refuses."""
    with in_process(lasting.root) as running:
        yield running


@pytest.fixture
def keeping(tiny: Store) -> Iterator[Service]:
    """The same, keeping up to 40 rows."""
    with in_process(tiny.root, reservoir_rows=40) as running:
        yield running


def test_the_answer_says_what_was_made_and_how_it_comes_to_answer(service: Service, tiny: Store) -> None:
    """It is the manifest's own record, and the very request that promotes."""
    response = service.post(TINY, **sent(rows(64), **FORCE))

    record = tiny.open("tiny", 2).manifest.recalibration
    assert record is not None
    assert response.status_code == 200
    assert response.json() == {
        "model_name": "tiny",
        "model_version": "2",
        "recalibration": record.model_dump(mode="json"),
        "promote": {"path": "/v2/repository/models/tiny/promote", "body": {"version": "2"}},
    }


def test_the_default_stays_until_the_candidate_is_promoted(service: Service) -> None:
    """The candidate is in the index, and answers only those who name it."""
    candidate = service.post(TINY, **sent(rows(64), **FORCE)).json()
    service.refresh()
    listed = [(entry["version"], entry["state"]) for entry in service.post("/v2/repository/index").json()]
    before = default_of(service)

    promoted = service.post(candidate["promote"]["path"], json=candidate["promote"]["body"])

    assert listed == [("1", "READY"), ("2", "READY")]
    assert before == "1"
    assert promoted.status_code == 200
    assert default_of(service) == "2"


def test_rows_as_bytes_make_the_statistics_that_rows_as_json_make(service: Service, tiny: Store) -> None:
    """The form on the wire changes nothing; nor does a version in the path, nor what clients put into every body.

    Triton's client says there how it wants its outputs.
    """
    array = rows(64)
    body, header_length = body_of([Sent("x", "FP32", array, "bytes")], parameters=FORCE)

    answers = [
        service.post(TINY, **sent(array, binary_data_output=True, priority=1, timeout=1, **FORCE)),
        service.post(FIRST, content=body, headers={HEADER_LENGTH: str(header_length)}),
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json()["model_version"] for answer in answers] == ["2", "3"]
    (by_json,), (by_bytes,) = (tiny.open("tiny", version).normalization() for version in (2, 3))
    np.testing.assert_array_equal(by_json.mean, by_bytes.mean)
    np.testing.assert_array_equal(by_json.variance, by_bytes.variance)


def test_a_body_may_be_the_rows_alone(service: Service) -> None:
    """As for inference, where a model has one input."""
    array = np.concatenate([rows(200), draft().sample.inputs["x"]])

    response = service.post(TINY, content=array.tobytes(), headers={HEADER_LENGTH: "0"})

    assert response.json()["recalibration"]["rows"] == 205


def test_labels_beside_the_rows_tell_accuracies(service: Service) -> None:
    """They are a tensor of whole numbers, of any name that no input has."""
    labels = Sent("digit", "INT64", np.arange(64) % 2)

    response = service.post(TINY, **sent(rows(64), labels, labels="digit", **FORCE))

    (output,) = response.json()["recalibration"]["outputs"]
    assert 0 <= output["predictions"]["accuracy_before"] <= 1
    assert 0 <= output["predictions"]["accuracy_after"] <= 1


def test_a_prior_lets_a_single_row_do(service: Service) -> None:
    """The parameters are those of the command."""
    response = service.post(TINY, **sent(rows(1), prior_rows=100, batch_rows=8, **FORCE))

    record = response.json()["recalibration"]
    assert (record["rows"], record["prior_rows"], record["batch_rows"]) == (1, 100, 8)


@pytest.mark.parametrize("body", [b"{}", b'{"inputs": []}'], ids=str)
def test_without_rows_those_are_taken_that_were_answered(keeping: Service, body: bytes) -> None:
    """No more than the reservoir holds, and none that was refused."""
    for seed in range(30):
        keeping.post("/v2/models/tiny/infer", **sent(rows(2, seed=seed)))
    keeping.post("/v2/models/tiny/infer", **sent(rows(2)[:, :3]))
    forced = json.dumps({**json.loads(body), "parameters": FORCE}).encode()

    response = keeping.post(TINY, content=forced)

    record = response.json()["recalibration"]
    assert (record["rows"], record["data"]) == (40, "a sample of the rows that the service answered of late")


def test_rows_of_one_version_are_not_those_of_another(keeping: Service, tiny: Store) -> None:
    """Each answered its own."""
    keeping.post("/v2/models/tiny/infer", **sent(rows(40)))
    tiny.publish(draft(bias=1.0))
    keeping.refresh()

    sentence = error(keeping.post("/v2/models/tiny/versions/2/normalization/recalibrate"), 400)

    assert sentence == "inputs: expected rows, got none, and of those that version 2 answered none was kept yet"


def test_the_sample_goes_when_the_version_is_unloaded(keeping: Service) -> None:
    """Its memory does, and what was answered then is not what is answered now."""
    keeping.post("/v2/models/tiny/infer", **sent(rows(40)))
    keeping.post("/v2/repository/models/tiny/unload")
    keeping.post("/v2/repository/models/tiny/load")

    sentence = error(keeping.post(TINY), 400)

    assert sentence.endswith("of those that version 1 answered none was kept yet")


def test_fewer_rows_than_it_takes_are_refused_with_the_number_that_it_takes(keeping: Service) -> None:
    """Those that were kept, too."""
    keeping.post("/v2/models/tiny/infer", **sent(rows(3)))

    sentence = error(keeping.post(TINY), 400)

    assert sentence == (
        "rows: expected at least 32, got 3; fewer do where the old statistics count as a prior (prior_rows)"
    )


def test_without_rows_and_reservoir_the_setting_is_named(refusing: Service) -> None:
    """Whoever asks learns what to change."""
    sentence = error(refusing.post(TINY), 400)

    assert sentence == (
        "inputs: expected rows, got none; for a sample of the rows that are answered set reservoir_rows, it is 0"
    )


def refused() -> list[tuple[dict[str, Any], str]]:
    """Of what the process refuses one; for the rest see ``tests/folding/test_recalibration_refusals.py``."""
    array, labels = rows(40), Sent("y", "INT64", np.arange(40))
    return [
        (sent(array[:, :3]), "inputs[0].shape: expected [-1, 4], got [40, 3]"),
        ({"content": body_of([Sent("x", "FP64", array)])[0]}, "inputs[0].datatype: expected FP32, got FP64"),
        ({"content": body_of([labels])[0]}, "inputs[0].name: expected 'x', got 'y'"),
        (sent(array, labels), "inputs[1].name: expected 'x', got 'y'"),
        (sent(array, labels="y"), "parameters.labels: expected the name of one tensor beside the inputs, got 'y'"),
        (sent(array, labels="x"), "parameters.labels: expected the name of one tensor beside the inputs, got 'x'"),
        (sent(array, labels=1), "parameters.labels: expected a string, got 1"),
        ({"json": {"parameters": {"labels": "y"}}}, "parameters.labels: expected none where no rows are sent, "),
        (sent(array, labels, labels="y"), "labels: expected classes from 0 to 1, got 0 to 39"),
        (sent(array, prior=1), "parameters: expected any of prior_rows, batch_rows, force, labels, got 'prior'"),
        (sent(array, prior_rows=-1), "parameters.prior_rows: expected a whole number, 0 or more, got -1"),
        (sent(array, batch_rows="1"), 'parameters.batch_rows: expected a whole number, 0 or more, got "1"'),
        (sent(array, force=1), "parameters.force: expected true or false, got 1"),
        ({"content": b"rows"}, "request: expected JSON"),
        ({"content": b"{}", "headers": {HEADER_LENGTH: "x"}}, f"{HEADER_LENGTH}: expected a whole number, got 'x'"),
    ]


@pytest.mark.parametrize(("given", "sentence"), refused(), ids=lambda part: part if isinstance(part, str) else "")
def test_what_can_not_be_used_is_refused_with_the_reason(
    refusing: Service, lasting: Store, given: dict[str, Any], sentence: str
) -> None:
    """Nothing is published, and nothing pinned."""
    found = error(refusing.post(TINY, **given), 400)

    assert found.startswith(sentence)
    assert (lasting.versions("tiny"), lasting.pins("tiny")) == ([1], ())


def test_a_model_without_layers_has_nothing_to_recalibrate(service: Service, tiny: Store) -> None:
    """The reason is told."""
    tiny.publish(draft("plain", layers=(), normalization=()))
    service.refresh()

    sentence = error(service.post("/v2/models/plain/normalization/recalibrate", **sent(rows(40))), 400)

    assert sentence == "layers: expected a bundle with normalization layers, got one without"


@pytest.mark.parametrize("path", ["/v2/models/none/normalization/recalibrate", FIRST.replace("1", "7")])
def test_what_is_not_there_is_not_found(refusing: Service, path: str) -> None:
    """As for every request about a model."""
    sentence = error(refusing.post(path, **sent(rows(40))), 404)

    assert "tiny" in sentence


def test_where_clients_may_not_change_what_is_served_they_may_not_recalibrate(tiny: Store) -> None:
    """Publishing is such a change."""
    with in_process(tiny.root, repository_control=False) as service:
        sentence = error(service.post(TINY, **sent(rows(40))), 403)

    assert sentence.startswith("repository_control: expected true ")
    assert tiny.versions("tiny") == [1]


def test_a_store_that_can_not_be_written_to_is_the_services_fault(service: Service, tiny: Store) -> None:
    """The sentence names the file."""
    (tiny.bundle_path("tiny", 1).parent / DEFAULT_FILE).mkdir()

    sentence = error(service.post(TINY, **sent(rows(64), **FORCE)), 503)

    assert DEFAULT_FILE in sentence


def test_one_that_takes_too_long_is_told_which_setting_says_so(tiny: Store) -> None:
    """It is stopped, too."""
    with in_process(tiny.root, recalibration_timeout_s=0.01) as service:
        sentence = error(service.post(TINY, **sent(rows(40))), 504)

    assert sentence == "recalibration: expected it to take at most 0.01 s (recalibration_timeout_s), it was stopped"


def test_one_at_a_time_and_the_other_is_told_when_to_come_again(service: Service) -> None:
    """The one under way is not disturbed, nor are requests for answers."""
    recalibrate = {"method": "POST", "url": TINY, **sent(rows(64), **FORCE)}
    infer = {"method": "POST", "url": "/v2/models/tiny/infer", **sent(rows(1))}

    answers = service.at_once([recalibrate, recalibrate, infer])

    assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
    (refusal,) = (answer for answer in answers if answer.status_code == 429)
    assert int(refusal.headers["Retry-After"]) >= 1


def test_a_body_that_is_too_large_is_refused(tiny: Store) -> None:
    """By the limit that inference has."""
    with in_process(tiny.root, max_request_bytes=1000) as service:
        sentence = error(service.post(TINY, **sent(rows(400))), 413)

    assert sentence.startswith("request: expected at most 1000 bytes, got ")
