"""This module says how a recorder works."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.history.backoff import Backoff
from service.history.buffer import BufferLimits
from service.history.retention import Retention


@dataclass(frozen=True, slots=True)
class RecorderOptions:
    """How a recorder works.

    Attributes:
        retention: How long what is kept.
        limits: How much may wait.
        backoff: How long to wait before a lost database is tried again.
        timeout_s: Of connecting, of every statement and of every lock.
    """

    retention: Retention = field(default_factory=Retention)
    limits: BufferLimits = field(default_factory=BufferLimits)
    backoff: Backoff = field(default_factory=Backoff)
    timeout_s: float = 5.0
