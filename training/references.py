"""This module runs in torch the network that a folded graph has to agree with, and sees what its layers take."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from folding.references import Arrays, Reference, refuse_unreached
from folding.rules.sites import name_of_call
from models.manifest import LayerRecord
from training.tracing import Signature

MEAN_POSITION: Mapping[Any, int] = {functional.batch_norm: 1, torch.batch_norm: 3}
"""The functions that normalize, and which of their arguments the running mean is."""


class TorchReference:
    """A network in inference mode, its normalization layers in place."""

    def __init__(self, network: nn.Module, signature: Signature) -> None:
        self.name = f"torch {torch.__version__}"
        self._network = network
        self._signature = signature

    def run(self, rows: Sequence[NDArray[Any]], layers: Sequence[LayerRecord]) -> tuple[list[NDArray[Any]], Arrays]:
        """See ``Reference``."""
        with NormalizationCalls(self._network, {layer.name: layer.tap.side for layer in layers}) as calls:
            outputs = self._signature.call(self._network, [torch.tensor(array) for array in rows])
        refuse_unreached(layers, calls.observed)
        return [output.cpu().numpy() for output in outputs], calls.observed

    def exact(self) -> Reference | None:
        """See ``Reference``; the network stays as it is."""
        return _DoubleReference(copy.deepcopy(self._network).double(), self._signature)


class _DoubleReference(TorchReference):
    def run(self, rows: Sequence[NDArray[Any]], layers: Sequence[LayerRecord]) -> tuple[list[NDArray[Any]], Arrays]:
        return super().run([array.astype(np.float64) if array.dtype.kind == "f" else array for array in rows], layers)


class NormalizationCalls(TorchFunctionMode):
    """While entered, keeps what normalization layers take or give, each under the name that the graph knows it by.

    A layer need not be a module: any call of ``batch_norm`` is one. Modules are followed only to name it.

    Args:
        network: Whose calls.
        sides: By layer name, whether to keep its input or its output.
    """

    def __init__(self, network: nn.Module, sides: Mapping[str, str]) -> None:
        super().__init__()
        self.observed: Arrays = {}
        self._sides = sides
        self._names: dict[nn.Module, list[str]] = {}
        for name, module in network.named_modules(remove_duplicate=False):
            self._names.setdefault(module, []).append(name)
        self._tensors = {id(buffer): name.rpartition(".")[2] for name, buffer in network.named_buffers()}
        self._running: list[nn.Module] = []
        self._calls: Counter[str] = Counter()
        self._handles: list[Any] = []

    def __enter__(self) -> NormalizationCalls:
        for module in self._names:
            self._handles += [
                module.register_forward_pre_hook(lambda module, _: self._running.append(module)),
                module.register_forward_hook(lambda *_: self._leave(), always_call=True),
            ]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    def __torch_function__(  # torch's own signature
        self,
        function: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call the function; if it normalizes, keep what is asked for."""
        named = kwargs or {}
        result = function(*args, **named)
        if (position := MEAN_POSITION.get(function)) is not None:
            mean = named["running_mean"] if "running_mean" in named else args[position]
            self._keep(args[0] if args else named["input"], mean, result)
        return result

    def _leave(self) -> None:
        self._running.pop()

    def _keep(self, taken: Tensor, running_mean: Tensor | None, given: Tensor) -> None:
        module = self._running[-1]
        mean = self._tensors.get(id(running_mean), "")
        for alias in self._names[module]:
            name = name_of_call(alias, mean)
            self._calls[name] += 1
            name = name if self._calls[name] == 1 else f"{name}@{self._calls[name]}"
            if name in self._sides:
                kept = taken if self._sides[name] == "input" else given
                self.observed[name] = kept.detach().cpu().numpy().copy()
