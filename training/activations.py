"""This module runs a network once, and tells of every tensor which modules give it and what takes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import activation as activations
from torch.nn.modules.batchnorm import _NormBase
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from training.tracing import ExampleInputs, read_signature
from training.variants import Normalized

NORMALIZING = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""Modules with weights that no pattern takes for a layer: whoever means one of them names it in full."""


@dataclass(slots=True, eq=False)
class Activation:
    """One tensor of a forward pass.

    Attributes:
        tensor: Kept, so that no other one gets its place in memory.
        givers: Modules that gave it, from the inside outwards.
        takers: Functions that took it, with the innermost module that called each; none for what the network gives.
    """

    tensor: Tensor
    givers: list[nn.Module] = field(default_factory=list)
    takers: list[tuple[nn.Module | None, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a module: the first tensor that it took by position, and the tensor that it gave, if it gave one."""

    taken: Activation | None
    given: Activation | None


def observe_calls(network: nn.Module, example: ExampleInputs) -> dict[nn.Module, list[Call]]:
    """Every call of a module in one forward pass in inference mode; the network stays as it is.

    In inference mode a dropout gives what it took: it counts as one that takes it, and is nothing between two others.

    Raises:
        ExportError: If the network does not take the example, which has at least two rows.
    """
    with inference_mode(network):
        signature, tensors = read_signature(network, example)
        observer = _Observer(network)
        with observer:
            for tensor in signature.call(network, tensors):
                observer.activation(tensor).takers.append((None, "output"))
    return observer.calls


@contextlib.contextmanager
def inference_mode(network: nn.Module) -> Iterator[None]:
    """While entered, every module is in inference mode."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def is_nonlinearity(module: nn.Module) -> bool:
    """Whether a module is one of torch's, or of a class elsewhere that has neither parameters nor parts."""
    if isinstance(module, nn.MultiheadAttention):
        return False
    if any(base.__module__ == activations.__name__ for base in type(module).__mro__):
        return True
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    parts = [] if isinstance(module, Normalized) else list(module.children())
    return not own and not parts and not type(module).__module__.startswith("torch.nn.")


def is_layer(module: nn.Module) -> bool:
    """Whether a module has weights of its own and normalizes nothing."""
    own = next(module.parameters(recurse=False), None) is not None
    return own and not isinstance(module, NORMALIZING) and not is_nonlinearity(module)


class _Observer(TorchFunctionMode):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.calls: dict[nn.Module, list[Call]] = {}
        self._activations: dict[tuple[int, int], Activation] = {}
        self._running: list[tuple[nn.Module, Activation | None]] = []
        self._handles = [
            handle
            for module in network.modules()
            for handle in (
                module.register_forward_pre_hook(self._enter),
                module.register_forward_hook(self._leave),
            )
        ]

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    def activation(self, tensor: Tensor) -> Activation:
        """What is known of a tensor as it is now; one that was changed in place is another one."""
        return self._activations.setdefault((id(tensor), tensor._version), Activation(tensor))

    def __torch_function__(  # torch's own signature
        self,
        function: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call the function; note what it took, if it is one that gives tensors."""
        named = dict(kwargs or {})
        taken = [self.activation(leaf) for leaf in pytree.tree_leaves((args, named)) if isinstance(leaf, Tensor)]
        result = function(*args, **named)
        if any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(result)):
            for each in taken:
                each.takers.append(
                    (self._running[-1][0] if self._running else None, getattr(function, "__name__", "a function"))
                )
        return result

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._running.append((module, self._known(inputs[0] if inputs else None)))

    def _leave(self, module: nn.Module, _inputs: object, output: object) -> None:
        _, taken = self._running.pop()
        given = self._known(output)
        if given is not None:
            given.givers.append(module)
        self.calls.setdefault(module, []).append(Call(taken, given))

    def _known(self, value: object) -> Activation | None:
        return self.activation(value) if isinstance(value, Tensor) else None
