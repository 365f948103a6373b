import asyncio
import contextvars

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service.logs import request_id
from service.routes.request_ids import RequestIds
from tests.service.running import Service


async def known_id(_request: Request) -> PlainTextResponse:
    return PlainTextResponse(request_id.get())


async def fail(_request: Request) -> PlainTextResponse:
    raise ValueError(request_id.get())


APP = RequestIds(Starlette(routes=[Route("/", known_id), Route("/fail", fail)]))


def get(path: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(APP, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get(path, headers={"X-Request-Id": headers["id"]} if headers else None)

    return contextvars.Context().run(asyncio.run, ask())


def test_a_request_keeps_the_id_that_its_client_gave_it() -> None:
    given = "client-7"

    response = get("/", id=given)

    assert (response.headers["x-request-id"], response.text) == (given, given)


@pytest.mark.parametrize("given", ["", "two words", "x" * 129])
def test_a_request_with_no_usable_id_gets_one(given: str) -> None:
    responses = [get("/", id=given) for _ in range(2)]

    first, second = (response.headers["x-request-id"] for response in responses)

    assert given not in {first, second}
    assert first != second
    assert responses[0].text == first


def test_a_request_without_an_id_gets_one() -> None:
    path = "/"

    response = get(path)

    assert response.text == response.headers["x-request-id"] != ""


def test_a_request_that_fails_has_its_id_too() -> None:
    given = "client-8"

    response = get("/fail", id=given)

    assert (response.status_code, response.headers["x-request-id"]) == (500, given)


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/models/unknown", "/nowhere", "/docs", "/metrics"])
def test_every_route_of_the_framework_answers_with_an_id(service: Service, path: str) -> None:
    headers = {"X-Request-Id": "client-9"}

    response = service.request("GET", path, headers=headers)

    assert response.headers.get_list("x-request-id") == ["client-9"]
