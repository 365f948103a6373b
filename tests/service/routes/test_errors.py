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
    ("method", "path", "status", "message"),
    [
        ("GET", "/nothing", 404, "Not Found"),
        ("GET", "/v2/nothing", 404, "Not Found"),
        ("GET", "/v1/models", 404, "Not Found"),
        ("GET", "/docs/assets/nothing.js", 404, "Not Found"),
        ("GET", "/docs/assets/../../app.py", 404, "Not Found"),
        ("GET", "/docs/assets/%2e%2e/__init__.py", 404, "Not Found"),
        ("POST", "/v2/models/tiny/load", 404, "Not Found"),
        ("POST", "/v2", 405, "Method Not Allowed"),
        ("POST", "/v2/health/live", 405, "Method Not Allowed"),
        ("DELETE", "/v2/models/tiny", 405, "Method Not Allowed"),
        ("GET", "/v2/repository/index", 405, "Method Not Allowed"),
        ("POST", "/metrics", 405, "Method Not Allowed"),
        ("POST", "/openapi.json", 405, "Method Not Allowed"),
    ],
)
def test_the_errors_of_the_framework_have_the_same_body(
    service: Service, method: str, path: str, status: int, message: str
) -> None:
    expected = {"error": message}

    response = service.request(method, path)

    assert (response.status_code, response.json()) == (status, expected)
    assert response.headers["content-type"] == "application/json"


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
