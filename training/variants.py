"""This module gives a module of a network further behaviour, and leaves its place, its name and its parts as they are.

The module's class becomes a subclass of what it was, as ``torch.nn.utils.parametrize`` does it too: whoever asks for a
``Linear`` still finds one, its parameters keep their names, and a network's own code may go on reading its attributes.
A module around it would change all three.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Self

from torch import Tensor, nn


class Variant(nn.Module):
    """What is put before a module's own class; it can be copied and pickled."""

    original: ClassVar[type[nn.Module]]
    behaviour: ClassVar[type[Variant]]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:  # noqa: ANN401  as object has it
        """Name the two classes that this one is made of: it has no place of its own to be imported from."""
        del protocol
        return _blank, (self.original, self.behaviour), self.__getstate__()  # type: ignore[no-untyped-call]


class Normalized(Variant):
    """A module of which what it takes, or what it gives, or both, is normalized.

    Its part ``input_normalization`` takes what the module would take, and gives it what it takes now; its part
    ``normalization`` takes what the module would give. Either may be missing.

    Attributes:
        channels_last: Whether the channels are the last axis, as those of a linear layer are, instead of the second.
    """

    channels_last: bool

    def forward(self, *inputs: Any, **named: Any) -> Any:  # noqa: ANN401  what the module takes and gives
        """What the module gives, normalized."""
        if (before := self._modules.get("input_normalization")) is not None:
            inputs = (self._normalize(before, inputs[0]), *inputs[1:])
        given = super().forward(*inputs, **named)
        behind = self._modules.get("normalization")
        return given if behind is None else self._normalize(behind, given)

    def _normalize(self, layer: nn.Module, values: Tensor) -> Tensor:
        # moved out here, not in the layer: for whoever observes that, its channels are always the second axis
        normalized: Tensor = layer(values.movedim(-1, 1)).movedim(1, -1) if self.channels_last else layer(values)
        return normalized


class Frozen(Variant):
    """A normalization layer that keeps its statistics: it is in inference mode, whatever mode its network is in."""

    def train(self, mode: bool = True) -> Self:
        """Stay in inference mode."""
        del mode
        return super().train(False)


def normalized(module: nn.Module, *, channels_last: bool) -> Normalized:
    """Make a module one that can be normalized, if it is not yet, in place."""
    if not isinstance(module, Normalized):
        _become(module, Normalized)
    assert isinstance(module, Normalized)
    module.channels_last = channels_last
    return module


def frozen(layer: nn.Module) -> Frozen:
    """Make a normalization layer one that keeps its statistics, in place."""
    if not isinstance(layer, Frozen):
        _become(layer, Frozen)
    assert isinstance(layer, Frozen)
    layer.eval()
    return layer


def _become(module: nn.Module, behaviour: type[Variant]) -> None:
    module.__class__ = _variant(type(module), behaviour)  # type: ignore[arg-type]  # mypy takes classes for unhashable


@functools.cache
def _variant(original: type[nn.Module], behaviour: type[Variant]) -> type[nn.Module]:
    own = {"original": original, "behaviour": behaviour, "__doc__": original.__doc__, "__module__": original.__module__}
    return type(original.__name__, (behaviour, original), own)


def _blank(original: type[nn.Module], behaviour: type[Variant]) -> nn.Module:
    made = _variant(original, behaviour)  # type: ignore[arg-type]
    return made.__new__(made)
