"""This module finds the network that is named, and loads its parameters from a checkpoint."""

from __future__ import annotations

import importlib
import pickle
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from folding.errors import one_line
from folding.rows import read_rows
from training.errors import CheckpointError, RecipeError
from training.networks import build_network

WRAPPERS = ("state_dict", "model_state_dict", "model", "network")
"""Keys under which checkpoints keep the parameters, beside an optimizer's state and the like."""

SHOWN_KEYS = 3


def load_network(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a network by a registered name, or by ``package.module:factory``, which is imported and called.

    Raises:
        RecipeError: If there is no such name, the factory fails, or gives anything but a module.
    """
    if ":" not in name:
        return build_network(name, arguments)
    module_name, _, attribute = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except SystemExit as error:  # of a script that does its work when it is imported
        raise RecipeError(f"network: expected a module {module_name!r} that can be imported, it exits") from error
    except Exception as error:  # importing runs code, which may raise anything
        raise RecipeError(
            f"network: expected a module {module_name!r} that can be imported: {one_line(error)}"
        ) from error
    factory = getattr(module, attribute, None)
    if factory is None:
        raise RecipeError(f"network: expected {attribute!r} in {module_name}, it has none")
    try:
        network = factory(**arguments)
    except Exception as error:
        raise RecipeError(f"network {name}: expected a factory that can be called so: {one_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise RecipeError(f"network {name}: expected a torch.nn.Module, got {type(network).__name__}")
    for key, parameter in network.named_parameters():
        if isinstance(parameter, nn.UninitializedParameter):
            raise RecipeError(
                f"network {name}: {key}: expected a parameter of a known shape, got a lazy one; have the factory call "
                "the network once"
            )
    return network


def load_checkpoint(network: nn.Module, path: Path) -> None:
    """Load a network's parameters and statistics, every one of them.

    Only tensors are read, no code that a pickle might hold (``weights_only=True``). A bundle's ``parameters.npz`` is
    read too, and a file of safetensors where that package is installed.

    Raises:
        CheckpointError: If the file can't be read so, holds no parameters, or lacks some, has others or other shapes.
    """
    expected = network.state_dict()
    parameters = _without_prefixes(_parameters(path), expected)
    counters = {key for key in expected if key.endswith("num_batches_tracked")}  # old checkpoints have none
    missing = [key for key in expected if key not in parameters and key not in counters]
    extra = [key for key in parameters if key not in expected]
    if missing or extra:
        found = [f"{what} {_some(keys)}" for what, keys in (("lacks", missing), ("has besides", extra)) if keys]
        raise CheckpointError(f"{path}: expected the parameters of the network, the file {' and '.join(found)}")
    for key, tensor in parameters.items():
        if tensor.shape != expected[key].shape:
            raise CheckpointError(
                f"{path}: {key}: expected shape {tuple(expected[key].shape)}, got {tuple(tensor.shape)}"
            )
    network.load_state_dict(parameters, strict=False)


def _parameters(path: Path) -> dict[str, Tensor]:
    content = _read(path)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        found = "none" if content == {} else type(content).__name__
        raise CheckpointError(f"{path}: expected tensors by name, got {found}")
    parameters = {str(key): value for key, value in content.items()}
    for key, value in parameters.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: {key}: expected a tensor, got {type(value).__name__}")
    return parameters


def _without_prefixes(parameters: dict[str, Tensor], expected: Mapping[str, object]) -> dict[str, Tensor]:
    """Parameters without what is before every name where the network is a part of what was saved.

    So it is with DistributedDataParallel, ``torch.compile``, and the attribute of a Lightning module.
    """
    stripped = parameters
    while not any(key in expected for key in stripped):
        parts = {key: key.partition(".") for key in stripped}
        if len({first for first, _, _ in parts.values()}) > 1 or not all(rest for _, _, rest in parts.values()):
            return parameters  # it is another network's
        stripped = {parts[key][2]: value for key, value in stripped.items()}
    return stripped


def _read(path: Path) -> object:
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a file, there is none")
    if path.suffix == ".npz":
        return {name: torch.from_numpy(array) for name, array in read_rows(path).items()}
    try:
        if path.suffix == ".safetensors":
            return importlib.import_module("safetensors.torch").load_file(path)
        with warnings.catch_warnings(action="ignore"):  # torch warns of what it then refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except ModuleNotFoundError as error:
        raise CheckpointError(f"{path}: expected the package safetensors to be installed, it is not") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: expected tensors alone, the file holds objects whose loading could run code; "
            "save network.state_dict() instead"
        ) from error
    except Exception as error:  # torch raises a dozen kinds for what is no such file
        said = one_line(error).partition(". ")[0]
        raise CheckpointError(
            f"{path}: expected a whole file that torch.save wrote, it can't be read ({said})"
        ) from error


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return ", ".join(keys[:SHOWN_KEYS]) + more
