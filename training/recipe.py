"""This module reads a recipe: the one small file that says how a published model is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError, field_validator

from folding.errors import one_line
from models.manifest import FoldMode, ModelName
from models.normalization import Normalization
from training.data import Data
from training.data.augmentation import Augmentation
from training.errors import RecipeError

RECIPES = Path(__file__).parent / "recipes"


class Recipe(BaseModel):
    """How a model is made.

    Attributes:
        name: The model that the result is published as.
        network: A name of ``training.networks``, or a factory, ``package.module:factory``, built with ``arguments``.
        normalize: Changes of where the network normalizes, made in their order before the fit; nothing can be frozen,
            since no layer has statistics yet.
        data: A format of ``training.data`` and where the data is, by the fields of that format; its name alone where it
            needs none.
        augment: What is done to training rows at random, every time they are used.
        class_balance: What makes up for classes of unequal size: ``sampling`` draws rows of every class equally often,
            ``weights`` has every class count as much in the loss.
        standardize: Whether a normalization layer in front of the network brings every column to mean 0 and variance 1;
            by default that of a table, and of nothing else.
        epochs: Passes over the training rows.
        batch_rows: Rows behind one step, of all processes together; batch statistics are of as many.
        optimizer: ``adamw``, or ``sgd`` with Nesterov momentum.
        momentum: Of ``sgd``.
        learning_rate: The highest one.
        schedule: How it runs over the fit: ``one-cycle`` rises and falls once, ``cosine`` falls to 0, ``constant``
            stays.
        warmup_epochs: Over which it rises from 0 before ``cosine`` or ``constant`` sets in.
        weight_decay: Of weights; normalization parameters and biases have none.
        label_smoothing: Share of the target that is spread over all classes.
        max_gradient_norm: Gradients of a larger Euclidean norm over all parameters are scaled down to it.
        precision: What the network computes in: ``32`` or ``64`` bits, or mixed with ``bf16`` or ``16``.
        zero_last_gamma: Whether the last scale of every residual block starts at 0, so that the block adds nothing yet.
        average_decay: Of the moving average of weights and statistics that is published in place of the last ones.
        patience_epochs: The fit ends early after so many epochs without a lower validation loss; what is published is
            the epoch that had the lowest.
        seed: Of everything random.
        fold: How far to fold the network: ``fast`` or ``complete``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: ModelName
    network: str
    arguments: dict[str, JsonValue] = {}
    normalize: tuple[Normalization, ...] = ()
    data: Data
    augment: Augmentation = Augmentation()
    class_balance: Literal["none", "sampling", "weights"] = "none"
    standardize: bool | None = None
    epochs: Annotated[int, Field(gt=0)]
    batch_rows: Annotated[int, Field(ge=2)]
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_gradient_norm: Annotated[float, Field(gt=0)] | None = None
    precision: Annotated[Literal["32", "64", "bf16-mixed", "16-mixed"], BeforeValidator(str)] = "32"
    zero_last_gamma: bool = False
    average_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    patience_epochs: Annotated[int, Field(gt=0)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    fold: FoldMode = "fast"

    @field_validator("normalize")
    @classmethod
    def _has_nothing_to_freeze(cls, changes: tuple[Normalization, ...]) -> tuple[Normalization, ...]:
        if any(change.action == "freeze" for change in changes):
            raise ValueError("expected insert or remove, a fit begins with layers that have no statistics to freeze")
        return changes


def load_recipe(name: str, changes: Iterable[str] = ()) -> Recipe:
    """Read a recipe by its name here, or from a file of its own.

    Args:
        name: A name in ``training/recipes``, or the path of a ``.yaml`` file.
        changes: ``key=value`` each, the value written as in the file; ``data.folder`` is a field of a field.

    Raises:
        RecipeError: If there is no such recipe, or a field is unknown, missing or out of its range.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    try:
        fields: Any = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise RecipeError(f"recipe: expected one of {known}, or a .yaml file that exists, got {name!r}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: expected a YAML file that can be read: {one_line(error)}") from error
    if not isinstance(fields, dict):
        raise RecipeError(f"{path}: expected fields and their values, got {type(fields).__name__}")
    for change in changes:
        key, value = _parse_change(change)
        fields = _changed(fields, key.split("."), value)
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(_field(problem["loc"], fields))
        said = _unknown(problem["loc"]) if problem["type"] == "extra_forbidden" else problem["msg"]
        raise RecipeError(f"{path.name}: {field}: {said}, got {problem['input']!r}") from error


def _unknown(place: Sequence[str | int]) -> str:
    """What is said of a field that recipes do not have, with the nearest that they have."""
    schema = Recipe.model_json_schema()
    known = {name for model in (schema, *schema["$defs"].values()) for name in model.get("properties", {})}
    near = get_close_matches(str(place[-1]), sorted(known), n=1)
    return "expected no such field" + "".join(f" (did you mean {name}?)" for name in near)


def _changed(fields: Any, keys: Sequence[str], value: Any) -> Any:  # noqa: ANN401  whatever YAML can say
    """Fields with another value at the end of a path; what is on the way and has no fields gets them."""
    if not keys:
        return value
    here = fields if isinstance(fields, dict) else {}
    return here | {keys[0]: _changed(here.get(keys[0]), keys[1:], value)}


def _field(place: Sequence[str | int], fields: Any) -> Iterator[str]:  # noqa: ANN401
    """The path of a problem in the file, without the formats of data that pydantic puts between."""
    for number, part in enumerate(place):
        there = part in fields if isinstance(fields, dict) else isinstance(fields, list)
        if there or number == len(place) - 1:
            yield str(part)
        if there:
            fields = fields[part] if isinstance(fields, dict) or len(fields) > int(part) else None


def _parse_change(change: str) -> tuple[str, Any]:
    key, separator, value = change.partition("=")
    if not separator:
        raise RecipeError(f"--set: expected key=value, got {change!r}")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {key}: expected a YAML value, got {value!r}") from error
