"""This module logs when a version's windows begin to alarm, and when they no longer do."""

from __future__ import annotations

import logging
from weakref import WeakSet

from service.inference.served_model import ServedModel
from service.normalization.seen import ClosedWindow

log = logging.getLogger(__name__)


class Alarms:
    """Which versions alarm; each change is logged once."""

    def __init__(self) -> None:
        self._alarming: WeakSet[ServedModel] = WeakSet()

    def tell(self, served: ServedModel, window: ClosedWindow) -> None:
        """Tell what became of a window."""
        judgement = window.judgement
        if judgement is None or judgement.alarm == (served in self._alarming):
            return
        if not judgement.alarm:
            self._alarming.discard(served)
            log.info("model %s version %s: its data is as it was in training again", served.name, served.version)
            return
        self._alarming.add(served)
        first = judgement.first_layer
        inputs = [served.atoms[number].input for number in judgement.moved_inputs]
        log.warning(
            "model %s version %s: its data has moved, %s (score %.1f, threshold %.1f, over %d rows)",
            *(served.name, served.version),
            f"at input {', '.join(inputs)}" if first is None else f"first at layer {served.layers[first].name}",
            *(judgement.score, judgement.threshold, window.sight.rows),
        )
