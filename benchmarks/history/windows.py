"""This module makes windows of random rows, closed at random times of the last hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np

from models.moments import Moments
from service.history.window import Window

MODELS = ("digits", "tagger")
CHANNELS = (8, 16, 1)
SPAN = timedelta(hours=6)


def random_window(random: np.random.Generator) -> Window:
    """A window of 1 to 31 rows of one of a few models, with a channel that can't be observed."""
    model = MODELS[random.integers(len(MODELS))]
    until = datetime.now(UTC) - SPAN * float(random.random())
    rows = int(random.integers(1, 32))
    layers = [Moments.of(random.normal(3, 2, (rows, channels)), channel_axis=1) for channels in CHANNELS]
    layers[0].mean[0] = layers[0].m2[0] = np.nan
    return Window(
        id=UUID(bytes=random.bytes(16)),
        model=model,
        version=int(random.integers(1, 3)),
        since=until - timedelta(seconds=float(random.uniform(0, 10))),
        until=until,
        rows=rows,
        rows_not_finite=int(random.integers(3)),
        layers=tuple(layers),
    )
