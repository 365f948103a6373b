"""This module is the outermost layer: it sends inference requests to their endpoint, all others to the framework."""

from __future__ import annotations

import re
from typing import Protocol

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from service.routes.request_ids import RequestIds

_PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")


class Endpoint(Protocol):
    """Answers inference requests for a model and a version, or the default one."""

    async def answer(self, name: str, version: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""


class Dispatch:
    """An ASGI application of two: one for what has to be fast, one for everything else.

    HEAD is answered as GET is; the server leaves the body out.

    Args:
        framework: For everything else.
        endpoint: For inference requests.
    """

    def __init__(self, framework: FastAPI, endpoint: Endpoint) -> None:
        self.framework = framework
        self._others = RequestIds(framework)
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            path = scope["path"]
            if path.endswith("/infer") and (match := _PATH.fullmatch(path.removeprefix(scope.get("root_path", "")))):
                await self._endpoint.answer(match[1], match[2], scope, receive, send)
                return
            if scope["method"] == "HEAD":
                scope = {**scope, "method": "GET"}  # a copy: the server looks at its own to leave the body out
        await self._others(scope, receive, send)
