"""This module says where in a network a normalization layer goes, by what was seen in a forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.normalization import Normalization
from training.activations import Activation, Call, is_layer, is_nonlinearity
from training.errors import RecipeError

BATCH_NORMS: Mapping[int, type[_BatchNorm]] = {
    2: nn.BatchNorm1d,
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
    5: nn.BatchNorm3d,
}
"""By how many axes an activation has, the rows included."""

CHANNELS_LAST = (nn.Linear, nn.Bilinear, nn.Embedding, nn.LayerNorm)
"""Layers of which the last axis is the channels, however many there are before it; of others the second one is."""

FUSED = (nn.TransformerEncoderLayer, nn.MultiheadAttention)
"""Modules that in inference mode take the weights of their parts and compute without them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a layer goes: a module, the name that the layer gets as its part, and the tensor that it normalizes."""

    host: nn.Module
    part: Literal["normalization", "input_normalization"]
    activation: Activation


class Places:
    """Where in one network a layer may go."""

    def __init__(self, network: nn.Module, calls: Mapping[nn.Module, list[Call]]) -> None:
        self._names = {module: name for name, module in network.named_modules()}
        self._calls = calls

    def name(self, place: Place) -> str:
        """What a layer there is called."""
        return f"{self._names[place.host]}.{place.part}"

    def find(self, module: nn.Module, where: Literal["before", "after"]) -> Place:
        """Where a layer goes for a module, before or after the nonlinearity.

        Raises:
            RecipeError: If the module is not called once, with one tensor; or no one nonlinearity is behind it.
        """
        call = self._only_call(module)
        if is_nonlinearity(module) and where == "before":
            taken = self._tensor(module, call.taken, "take")
            giver = taken.givers[0] if taken.givers else None
            alone = all(taker is module for taker, _ in taken.takers)
            if giver is not None and is_layer(giver) and alone and len(self._calls[giver]) == 1:
                return Place(giver, "normalization", taken)
            return Place(module, "input_normalization", taken)
        given = self._tensor(module, call.given, "give")
        if is_nonlinearity(module) or where == "before":
            return Place(module, "normalization", given)
        behind = self._nonlinearity_behind(module, given)
        return Place(behind, "normalization", self._tensor(behind, self._only_call(behind).given, "give"))

    def layer(self, place: Place, wanted: Normalization) -> nn.Module:
        """A new layer that fits into a place.

        Raises:
            RecipeError: If the activation is normalized already, or has no channels; or the name is taken.
        """
        self._refuse_normalized(place)
        self._refuse_passed_by(place)
        tensor, host = place.activation.tensor, self._names[place.host]
        if tensor.ndim not in BATCH_NORMS or not tensor.is_floating_point():
            raise RecipeError(
                f"normalize: {host}: expected an activation of real numbers with 2 to 5 axes, rows and channels among "
                f"them, got {tensor.dtype} of shape {tuple(tensor.shape)}"
            )
        if hasattr(place.host, place.part):
            raise RecipeError(f"normalize: {host}: expected no part of its own named {place.part}")
        channels = tensor.shape[-1 if self.channels_last(place.activation) else 1]
        kind = BATCH_NORMS[tensor.ndim]
        return kind(channels, eps=wanted.eps, momentum=wanted.momentum, device=tensor.device, dtype=tensor.dtype)

    def channels_last(self, activation: Activation) -> bool:
        """Whether the channels of an activation are its last axis, not the second one."""
        if activation.tensor.ndim == 2:
            return False  # the second axis is the last one
        for giver in activation.givers:
            if isinstance(giver, CHANNELS_LAST):
                return True
            taken = self._calls[giver][0].taken
            if is_nonlinearity(giver) and taken is not None:
                return self.channels_last(taken)
        return False

    def _only_call(self, module: nn.Module) -> Call:
        calls, name = self._calls.get(module, []), self._names[module]
        if not calls:
            raise RecipeError(
                f"normalize: {name}: expected a module that is called, the network never does; name the one around it"
            )
        if len(calls) > 1:
            givers = [call.taken.givers[0] for call in calls if call.taken is not None and call.taken.givers]
            before = ", ".join(self._names[giver] for giver in givers)
            hint = f"name what is before it: {before}" if is_nonlinearity(module) and before else "make it several"
            raise RecipeError(
                f"normalize: {name}: expected one use in a forward pass, got {len(calls)}, which would share their "
                f"statistics; {hint}"
            )
        return calls[0]

    def _tensor(self, module: nn.Module, activation: Activation | None, verb: str) -> Activation:
        if activation is None:
            raise RecipeError(f"normalize: {self._names[module]}: expected a module that {verb}s one tensor")
        return activation

    def _nonlinearity_behind(self, module: nn.Module, given: Activation) -> nn.Module:
        found = {taker for taker, _ in given.takers if taker is not None and is_nonlinearity(taker)}
        if len(found) == 1:
            return found.pop()
        takers = [self._described(taker, function, given) for taker, function in given.takers if taker is not None]
        raise RecipeError(
            f"normalize: {self._names[module]}: expected one nonlinearity that is a module, such as nn.ReLU, directly "
            f"behind it, got {' and '.join(dict.fromkeys(takers)) or 'none'}; where: before needs none"
        )

    def _described(self, taker: nn.Module, function: str, given: Activation) -> str:
        """What takes a tensor, for people: a module that is called with it, or else a function."""
        called = any(call.taken is given for call in self._calls.get(taker, []))
        return self._names[taker] if called else f"the function {function}"

    def _refuse_passed_by(self, place: Place) -> None:
        host = self._names[place.host]
        for module, name in self._names.items():
            if isinstance(module, FUSED) and host.startswith(f"{name}." if name else ""):
                raise RecipeError(
                    f"normalize: {host}: expected a module that is always called, in inference mode "
                    f"{type(module).__name__} {name} computes without its parts; name that one"
                )

    def _refuse_normalized(self, place: Place) -> None:
        around = [*place.activation.givers, *(taker for taker, _ in place.activation.takers)]
        for module in around:
            if isinstance(module, _BatchNorm):
                raise RecipeError(
                    f"normalize: {self._names[place.host]}: expected an activation that is not normalized yet, got one "
                    f"that {self._names[module]} normalizes"
                )
