"""This module finds the modules of a network that patterns of names and types stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.normalization import Normalization
from training.activations import is_layer, is_nonlinearity
from training.errors import RecipeError

Role = Literal["layer", "nonlinearity", "normalization"]
SHOWN_NAMES = 8


def role_of(module: nn.Module) -> Role | None:
    """What a module is to normalization; none for what only holds others, or moves values."""
    if isinstance(module, _BatchNorm):
        return "normalization"
    if is_nonlinearity(module):
        return "nonlinearity"
    return "layer" if is_layer(module) else None


@dataclass(frozen=True, slots=True)
class ModuleDescription:
    """One module that patterns may stand for: its qualified name, its class, and what it is to normalization."""

    name: str
    type: str
    role: Role


def describe_modules(network: nn.Module) -> list[ModuleDescription]:
    """Every module that a pattern may stand for, in the order of declaration."""
    modules = [(name, module, role_of(module)) for name, module in network.named_modules() if name]
    return [ModuleDescription(name, type(module).__name__, role) for name, module, role in modules if role is not None]


def matching_modules(network: nn.Module, wanted: Normalization) -> dict[str, nn.Module]:
    """The modules that a change asks for, by their qualified names, in the order of declaration.

    To insert, those are layers with weights and nonlinearities, and whatever is named in full: a pool, a block. To
    remove and to freeze, normalization layers.

    Raises:
        RecipeError: If a pattern matches none of them, or none matches both a name and a type.
    """
    modules = {name: module for name, module in network.named_modules() if name}
    if wanted.action == "insert":
        chosen = {n: m for n, m in modules.items() if role_of(m) in ("layer", "nonlinearity") or n in wanted.names}
    else:
        chosen = {n: m for n, m in modules.items() if role_of(m) == "normalization"}
    if not chosen:
        raise RecipeError(f"normalize: {wanted.action}: expected normalization layers, this network has none")
    kinds = {name: type(module).__name__ for name, module in chosen.items()}
    _refuse_unmatched("names", wanted.names, kinds)
    _refuse_unmatched("types", wanted.types, sorted(set(kinds.values())))
    found = {
        name: module
        for name, module in chosen.items()
        if (not wanted.names or _matches(name, wanted.names))
        and (not wanted.types or _matches(kinds[name], wanted.types))
    }
    if not found:
        raise RecipeError(
            f"normalize: expected a module that both a name and a type stand for, got none of {list(wanted.names)} "
            f"that is one of {list(wanted.types)}"
        )
    return found


def _matches(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _refuse_unmatched(field: str, patterns: Sequence[str], known: Iterable[str]) -> None:
    texts = {text.lower(): text for text in known}
    for pattern in patterns:
        if not any(fnmatchcase(text, pattern) for text in texts.values()):
            near = get_close_matches(pattern.lower(), texts, n=1)
            hint = f"; did you mean {texts[near[0]]}?" if near else ""
            shown = _some(list(texts.values()))
            raise RecipeError(f"normalize: {field}: expected a pattern of one of {shown}, got {pattern!r}{hint}")


def _some(known: Sequence[str]) -> str:
    more = f" and {len(known) - SHOWN_NAMES} more (`bntrain networks NAME` lists them)"
    return ", ".join(known[:SHOWN_NAMES]) + (more if len(known) > SHOWN_NAMES else "")
