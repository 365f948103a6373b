from __future__ import annotations

from tests.exporter import operators_read_once
from tests.training.conftest import one_thread

__all__ = ["one_thread", "operators_read_once"]
