"""This module reads what a network is to be built with from a command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from models.record import Arguments
from training.errors import RecipeError


def parse_arguments(texts: Sequence[str]) -> dict[str, Any]:
    """``key=value`` each, the value as YAML.

    Raises:
        RecipeError: If one is written otherwise.
    """
    arguments: dict[str, Any] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator:
            raise RecipeError(f"--argument: expected key=value, got {text!r}")
        try:
            arguments |= TypeAdapter(Arguments).validate_python({key: yaml.safe_load(value)})
        except (yaml.YAMLError, ValidationError) as error:
            raise RecipeError(f"--argument {key}: expected a YAML value that JSON has too, got {value!r}") from error
    return arguments
