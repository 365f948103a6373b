"""This module is one inference request and its answer on their way through the endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Receive, Send

from service.inference.job import Job, Outcome
from service.inference.served_model import ServedModel
from service.routes.body import Headers, HeldBytes


@dataclass(slots=True, eq=False)
class Exchange:
    """One request, as far as it has come.

    Attributes:
        headers: Those that the endpoint looks at, by their names in lower case.
        receive: Of the ASGI server.
        started: When its head was read, as ``time.perf_counter`` counts.
        held: Where its bytes are counted.
        request_id: What logs and the answer call it.
        served: What is to answer, once it was found.
        rows: How many it has, once they were read.
        job: Its rows, once they were read.
        outcome: What became of them, once they were run.
    """

    headers: Headers
    receive: Receive
    started: float
    held: HeldBytes
    request_id: str
    served: ServedModel | None = None
    rows: int = 0
    job: Job | None = None
    outcome: Outcome | None = None
    held_bytes: int = 0

    def hold(self, size: int) -> None:
        """Count bytes as held for this request, until it is over."""
        self.held.take(size)
        self.held_bytes += size

    def let_go(self) -> None:
        """Count nothing as held any more."""
        self.held.give_back(self.held_bytes)
        self.held_bytes = 0

    async def gone(self) -> None:
        """Return when the client has closed its connection; the body has been read before."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it goes on the wire: status, headers and body; and for the log, why it is no success."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    reason: str = ""

    async def send(self, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})
