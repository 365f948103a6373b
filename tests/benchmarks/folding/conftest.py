from __future__ import annotations

from tests.exporter import quick_exporter
from tests.training.conftest import one_thread

__all__ = ["one_thread", "quick_exporter"]
