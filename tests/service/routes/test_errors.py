import pytest

from models.store import Store
from service.errors import (
    DeviceError,
    EngineError,
    InvalidRequest,
    NotFound,
    NotReady,
    RequestTooLarge,
    ServiceError,
    UnsupportedEncoding,
)
from service.routes.errors import INTERNAL_ERROR, status_of
from tests.service.running import Service, in_process


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequest, 400),
        (NotFound, 404),
        (RequestTooLarge, 413),
        (UnsupportedEncoding, 415),
        (EngineError, 500),
        (DeviceError, 500),
        (ServiceError, 500),
        (NotReady, 503),
    ],
)
def test_an_error_has_the_status_of_its_nearest_class(error: type[ServiceError], status: int) -> None:
    expected = status

    found = status_of(error("what was wrong"))

    assert found == expected


def test_an_error_that_the_table_lacks_has_the_status_of_its_base() -> None:
    class TooManyInputs(InvalidRequest):
        """An error that was added later."""

    status = status_of(TooManyInputs("inputs: expected 1, got 2"))

    assert status == 400


@pytest.mark.parametrize(
    ("method", "path", "got"),
    [
        ("GET", "/nothing", "/nothing"),
        ("GET", "/v2/nothing", "/v2/nothing"),
        ("GET", "/v1/models", "/v1/models"),
        ("GET", f"/{'a' * 200}", f"/{'a' * 119}..."),
        ("GET", "/docs/assets/nothing.js", "/docs/assets/nothing.js"),
        ("GET", "/docs/assets/../../app.py", "/app.py"),
        ("GET", "/docs/assets/%2e%2e/__init__.py", "/docs/assets/../__init__.py"),
        ("POST", "/v2/models/tiny/load", "/v2/models/tiny/load"),
    ],
)
def test_a_path_that_is_not_there_is_told_with_where_those_are_that_are(
    service: Service, method: str, path: str, got: str
) -> None:
    expected = {"error": f"path: expected one that /openapi.json lists and /docs shows, got {got}"}

    response = service.request(method, path)

    assert (response.status_code, response.json()) == (404, expected)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v2", "GET"),
        ("POST", "/v2/health/live", "GET"),
        ("DELETE", "/v2/models/tiny", "GET"),
        ("GET", "/v2/repository/index", "POST"),
        ("POST", "/v2/repository/models/tiny/default", "DELETE"),
        ("POST", "/metrics", "GET"),
        ("GET", "/v2/models/tiny/infer", "POST"),
        ("POST", "/docs/assets/swagger-ui.css", "GET or HEAD"),
        ("POST", "/openapi.json", "GET or HEAD"),
    ],
)
def test_a_method_that_a_path_has_not_is_told_with_those_that_it_has(
    service: Service, method: str, path: str, allowed: str
) -> None:
    expected = {"error": f"{path}: expected {allowed}, got {method}"}

    response = service.request(method, path)

    assert (response.status_code, response.json()) == (405, expected)
    assert sorted(response.headers["allow"].split(", ")) == allowed.split(" or ")


def test_a_parameter_that_does_not_fit_is_named(store: Store) -> None:
    async def double(number: int) -> int:
        return 2 * number

    with in_process(store.root) as service:
        service.app.add_api_route("/double", double)
        response = service.get("/double?number=one")

    assert response.status_code == 422
    assert list(response.json()) == ["error"]
    assert response.json()["error"].startswith("query.number: ")
    assert response.json()["error"].endswith("got 'one'")


def test_what_nobody_expected_tells_the_client_nothing_and_the_log_all(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise KeyError("secret")

    with in_process(store.root) as service:
        service.app.add_api_route("/fail", fail)
        response = service.get("/fail")

    assert (response.status_code, response.json()) == (500, {"error": INTERNAL_ERROR})
    assert "GET /fail failed" in caplog.messages
    assert "KeyError: 'secret'" in caplog.text
