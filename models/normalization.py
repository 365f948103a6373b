"""This module says which activations of a network are normalized: what recipes ask for, and manifests keep."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Pattern = Annotated[str, StringConstraints(min_length=1)]

ONLY_OF = {"where": "insert", "eps": "insert", "momentum": "insert", "learn": "freeze"}
"""Fields that say something to one action alone."""


class Normalization(BaseModel):
    """One change of where a network normalizes; several are made in their order.

    The modules are those that match a pattern of ``names``, if there are any, and one of ``types``, if there are any.
    Patterns are those of the shell; ``*`` stands for any characters, dots included.

    Attributes:
        action: ``insert`` puts a normalization layer on the activations that the modules stand for, ``remove`` takes
            normalization layers away, ``freeze`` lets them keep their statistics.
        names: Patterns of qualified names, ``features.*``.
        types: Patterns of names of classes, ``Conv?d``.
        where: Before or after the nonlinearity.
        eps: What is added to the variance.
        momentum: The share of a batch in the moving averages; none for plain averages over all batches.
        learn: Whether gamma and beta of a frozen layer go on learning.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    action: Literal["insert", "remove", "freeze"] = "insert"
    names: tuple[Pattern, ...] = ()
    types: tuple[Pattern, ...] = ()
    where: Literal["before", "after"] = "before"
    eps: Annotated[float, Field(gt=0)] = 1e-5
    momentum: Annotated[float, Field(gt=0, le=1)] | None = 0.1
    learn: bool = True

    @model_validator(mode="after")
    def _says_which_and_what(self) -> Normalization:
        if not (self.names or self.types):
            raise ValueError("expected names, types or both")
        for field, action in ONLY_OF.items():
            if self.action != action and getattr(self, field) != type(self).model_fields[field].default:
                raise ValueError(f"{field} is for action: {action} alone")
        return self
