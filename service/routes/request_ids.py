"""This module gives every request an id: the client's ``X-Request-Id``, or a new one; logs and the answer carry it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logs import begin_request

REQUEST_ID = b"x-request-id"


class RequestIds:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request under its id.

        The id is not taken back afterwards: the server makes a task for every request, and if that fails it logs so.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == REQUEST_ID), b"")
        identity = begin_request(given)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID, identity.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)
