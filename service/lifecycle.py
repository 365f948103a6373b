"""This module is what an app has to know of the process that it runs in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Lifecycle:
    """Written by the server, read by the app.

    Attributes:
        loads_first: Whether the first connection is taken only when the store has been loaded. Where several processes
            serve one address each must do so, as no client can ask a certain one whether it is ready.
        stopping: Whether the server was told to stop. It goes on answering, but wants no new traffic: it is not ready.
    """

    loads_first: bool = False
    stopping: bool = False
