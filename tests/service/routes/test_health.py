import pytest

from models.store import Store
from service.app import create_app
from service.settings import Settings
from tests.drafts import draft
from tests.service.running import Service, in_process


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/tiny/ready", {"name": "tiny", "ready": True}),
        ("/v2/models/tiny/versions/1/ready", {"name": "tiny", "ready": True}),
        ("/v2/models/tiny/versions/2/ready", {"name": "tiny", "ready": True}),
    ],
)
def test_what_is_well_answers_200(service: Service, path: str, body: dict[str, object]) -> None:
    expected = body

    response = service.get(path)

    assert (response.status_code, response.json()) == (200, expected)


@pytest.mark.parametrize("path", ["/v2/health/ready", "/v2/models/tiny/ready", "/v2/models/tiny/versions/1/ready"])
def test_a_server_that_is_stopping_is_not_ready(tiny: Store, path: str) -> None:
    with in_process(tiny.root) as service:
        before = service.get(path).status_code

        service.app.state.lifecycle.stopping = True
        response, live = service.get(path), service.get("/v2/health/live")

    assert (before, live.status_code) == (200, 200)
    assert (response.status_code, response.json()) == (503, {"error": "the server is stopping"})


@pytest.mark.parametrize("path", ["/v2/models/broken/ready", "/v2/models/broken/versions/1/ready"])
def test_a_damaged_model_is_not_ready_and_says_why(service: Service, path: str) -> None:
    reason = "model.onnx: expected "

    response = service.get(path)

    assert response.status_code == 503
    assert reason in response.json()["error"]


@pytest.mark.parametrize("path", ["/v2/models/unknown/ready", "/v2/models/tiny/versions/3/ready"])
def test_a_model_that_is_not_there_is_not_found(service: Service, path: str) -> None:
    named = "unknown" if "unknown" in path else "3"

    response = service.get(path)

    assert response.status_code == 404
    assert repr(named) in response.json()["error"]


def test_an_empty_store_lives_but_is_not_ready(empty_service: Service) -> None:
    paths = ("/v2/health/live", "/v2/health/ready")

    live, ready = (empty_service.get(path) for path in paths)

    assert (live.status_code, ready.status_code) == (200, 503)
    assert ready.json()["error"].startswith("the store holds no model: it is empty, or not there; ")


def test_a_store_of_damaged_models_is_not_ready(store: Store) -> None:
    (store.publish(draft()).path / "model.onnx").unlink()

    with in_process(store.root) as service:
        response = service.get("/v2/health/ready")

    assert response.status_code == 503
    expected = "the store holds no model that can be served; POST /v2/repository/index says why"
    assert response.json() == {"error": expected}


def test_a_store_that_is_filled_later_becomes_ready(store: Store, empty_service: Service) -> None:
    store.publish(draft())
    empty_service.refresh()

    response = empty_service.get("/v2/health/ready")

    assert response.status_code == 200


def test_the_service_is_not_ready_before_it_has_looked_at_its_store(store: Store, service: Service) -> None:
    unstarted = Service(create_app(Settings(store=store.root, device="cpu")), service.runner)

    response = unstarted.get("/v2/health/ready")

    assert (response.status_code, response.json()) == (503, {"error": "the store is still being loaded"})
