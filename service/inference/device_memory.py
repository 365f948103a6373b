"""This module runs a graph on a GPU through memory that stays there.

Plain ``session.run`` takes new device memory for every input of every run. Here each shape of input has its place, that
the next run of the shape overwrites; batches are padded to few sizes (see ``warm_up.py``), so there are few places.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

MAX_PLACES = 64
"""Shapes that are kept per graph; where inputs vary in more ways than that, the oldest place goes."""


class DeviceMemory:
    """The places of one session's inputs on one device; runs take turns.

    Args:
        session: An ``onnxruntime.InferenceSession``.
        kind: What the runtime calls the device: ``cuda`` or ``cpu``.
        number: Which one of them.
    """

    def __init__(self, session: Any, kind: str, number: int) -> None:  # noqa: ANN401  the runtime has no types
        self._session = session
        self._kind, self._number = kind, number
        self._places: dict[tuple[str, tuple[int, ...]], Any] = {}
        self._turn = threading.Lock()

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run the graph; the arguments and what comes back are those of the engine, which catches what fails."""
        with self._turn:
            binding = self._session.io_binding()
            for name, array in inputs.items():
                binding.bind_ortvalue_input(name, self._placed(name, np.ascontiguousarray(array)))
            for name in outputs:
                binding.bind_output(name, self._kind, self._number)
            self._session.run_with_iobinding(binding)
            return list(binding.copy_outputs_to_cpu())

    def _placed(self, name: str, array: NDArray[Any]) -> Any:  # noqa: ANN401
        key = name, array.shape
        place = self._places.pop(key, None)
        if place is None:
            if len(self._places) >= MAX_PLACES:
                self._places.pop(next(iter(self._places)))
            place = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                array.shape, array.dtype.type, self._kind, self._number
            )
        self._places[key] = place  # the newest last
        place.update_inplace(array)
        return place
