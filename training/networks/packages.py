"""This module builds networks that timm and torchvision define, where those are installed, by ``PACKAGE/NAME``.

Their weights are always the random ones that they start with; nothing is downloaded. Of torchvision only classifiers
are known: its detectors and segmenters download the weights of their backbone unless told not to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from torch import nn

from folding.errors import one_line
from training.errors import RecipeError

Build = Callable[..., nn.Module]

REFUSED = ("checkpoint_path", "weights", "weights_backbone", "cache_dir")
"""Arguments by which such a package reads files, beside those that begin with ``pretrained``: a manifest may hold any
arguments, and none may have a file read, let alone one that runs code."""


def is_packaged(name: str) -> bool:
    """Whether a network is named as one of a package that is known here, installed or not."""
    package, separator, _ = name.partition("/")
    return bool(separator) and package in PACKAGES


def packaged_network(name: str) -> Callable[..., nn.Module]:
    """What builds the network ``PACKAGE/NAME`` from its arguments by name.

    Raises:
        RecipeError: If the package can't be imported, or has no such network.
    """
    package, _, network = name.partition("/")
    try:
        known, build = PACKAGES[package]()
    except ModuleNotFoundError as error:
        if error.name != package:
            raise RecipeError(f"network {name}: package {package}: {one_line(error)}") from error
        raise RecipeError(
            f"network {name}: expected the package {package} to be installed, it is not: pip install {package}"
        ) from error
    except (ImportError, OSError, RuntimeError) as error:  # one that was made for another torch fails in any of these
        raise RecipeError(f"network {name}: package {package}: {one_line(error)}") from error
    if network not in known:
        near = " or ".join(f"{package}/{match}" for match in get_close_matches(network, known))
        raise RecipeError(
            f"network {name}: expected one that {package} has, got {network!r}"
            + (f"; did you mean {near}?" if near else "")
        )

    def build_named(**arguments: Any) -> nn.Module:  # noqa: ANN401  whatever the network takes
        for argument in arguments:
            if argument in REFUSED or argument.startswith("pretrained"):
                raise RecipeError(
                    f"network {name}: arguments: expected none that loads weights, got {argument!r}; "
                    "a checkpoint is given apart"
                )
        return build(network, **arguments)

    return build_named


def _timm() -> tuple[Sequence[str], Build]:
    timm = import_module("timm")

    def build(network: str, **arguments: Any) -> nn.Module:  # noqa: ANN401  whatever the network takes
        model: nn.Module = timm.create_model(network, pretrained=False, **arguments)
        return model

    return timm.list_models(), build


def _torchvision() -> tuple[Sequence[str], Build]:
    models = import_module("torchvision.models")

    def build(network: str, **arguments: Any) -> nn.Module:  # noqa: ANN401  whatever the network takes
        model: nn.Module = models.get_model(network, weights=None, **arguments)
        return model

    return models.list_models(module=models), build


PACKAGES: Mapping[str, Callable[[], tuple[Sequence[str], Build]]] = {"timm": _timm, "torchvision": _torchvision}
