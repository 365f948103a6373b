"""Tasks for recalibration of ``tiny``, and rows for them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.store import Store
from service.normalization.recalibration_task import RecalibrationTask
from tests.drafts import INPUTS

ROWS = 64


def rows(count: int = ROWS) -> dict[str, NDArray[Any]]:
    """Rows that are further apart than those of training, and elsewhere."""
    return {"x": np.random.default_rng(1).normal(1.0, 2.0, (count, INPUTS)).astype(np.float32)}


def task(store: Store, **changes: Any) -> RecalibrationTask:  # noqa: ANN401
    """Version 1 of ``tiny``, by force: what a network with random weights predicts says nothing."""
    fields = {"store": str(store.root), "model": "tiny", "version": 1, "force": True, "data": "rows of a test"}
    return RecalibrationTask(**{**fields, **changes})
