"""This module is what ``bntrain export`` does with its arguments."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from folding.rows import read_rows
from models.datatypes import DATATYPES
from models.draft import BundleDraft
from training.arguments import parse_arguments
from training.errors import RecipeError
from training.loading import load_checkpoint, load_network
from training.publishing import describe, draft_export
from training.tracing import ExampleInputs

INPUT_SHAPE = re.compile(r"(?:(?P<name>[A-Za-z_]\w*)(?::(?P<datatype>\w+))?=)?(?P<sizes>\d+(?:,\d+)*)?")
EXAMPLE_ROWS = 2


def draft_named(options: argparse.Namespace) -> BundleDraft:
    """Build the network that the options name, load its parameters, fold it, prove it, and draft a bundle.

    Raises:
        TrainingError, GraphError: If any of it can't be done.
    """
    arguments = parse_arguments(options.arguments)
    network = load_network(options.network, arguments)
    if options.checkpoint is not None:
        load_checkpoint(network, options.checkpoint)
    network.eval()
    example = parse_shapes(options.input_shapes)
    return draft_export(
        network,
        example,
        name=options.name,
        fold=options.fold,
        rows=None if options.rows is None else _like(example, read_rows(options.rows)),
        described_as=describe(network, options.network, arguments),
        allow_untrained=options.allow_untrained,
    )


def parse_shapes(texts: Sequence[str]) -> ExampleInputs:
    """Example rows of the shapes that are given: in order, or by name where all have one.

    Raises:
        RecipeError: If a shape is not understood, or some have names and some have none.
    """
    parsed = [_parse_shape(text) for text in texts]
    names = [name for name, _ in parsed if name is not None]
    if not names:
        return tuple(tensor for _, tensor in parsed)
    if len(names) < len(parsed) or len(set(names)) < len(names):
        raise RecipeError(f"--input-shape: expected a name of its own for every input, or for none, got {list(texts)}")
    return {str(name): tensor for name, tensor in parsed}


def _parse_shape(text: str) -> tuple[str | None, Tensor]:
    match = INPUT_SHAPE.fullmatch(text)
    # of the other two numpy, from which torch takes the rest, has no dtype
    kinds = {str(name): kind for name, kind in DATATYPES.items() if name not in ("BF16", "BYTES")}
    datatype = (match and match["datatype"]) or "FP32"
    if match is None or not (match["sizes"] or match["name"]) or datatype not in kinds:
        raise RecipeError(
            f"--input-shape: expected [NAME[:DATATYPE]=]SIZE,SIZE,... without the batch, the datatype one of "
            f"{', '.join(kinds)}, got {text!r}"
        )
    shape = (EXAMPLE_ROWS, *(int(size) for size in (match["sizes"] or "").split(",") if size))
    if 0 in shape:
        raise RecipeError(f"--input-shape: expected sizes above 0, got {text!r}")
    kind = torch.from_numpy(np.zeros(0, kinds[datatype])).dtype
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn if kind.is_floating_point else partial(torch.randint, 2)
    try:
        return match["name"], draw(shape, generator=generator).to(kind)
    except (RuntimeError, TypeError) as error:  # so many bytes there are not, or a size has no 64 bits
        raise RecipeError(f"--input-shape: expected rows that fit into memory, got {text!r}") from error


def _like(example: ExampleInputs, arrays: Mapping[str, NDArray[Any]]) -> ExampleInputs:
    """The rows of a file, laid out like an example: by name, or in the file's order."""
    rows = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if isinstance(example, Mapping):
        if set(example) != set(rows):
            raise RecipeError(f"--rows: expected the arrays {sorted(example)}, got {sorted(rows)}")
        return {name: rows[name] for name in example}
    if len(example) != len(rows):
        raise RecipeError(f"--rows: expected {len(example)} arrays, one an input, got {sorted(rows)}")
    return tuple(rows.values())
