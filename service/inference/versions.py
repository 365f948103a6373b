"""This module says which versions of a model are loaded: the version policy.

    all          every version
    latest:2     the two highest that can be served
    1,3          these

The promoted version is loaded whatever the policy says. For several models: ``latest:2;digits=all;mlp=1,3``; the part
without a name is for all the others, ``latest:2`` where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from models.manifest import MODEL_NAME_PATTERN

MOST_DIGITS = 18
"""Of the number of a version, as the store has them."""

_MODEL = re.compile(MODEL_NAME_PATTERN)
_NUMBER = re.compile(rf"[1-9][0-9]{{0,{MOST_DIGITS - 1}}}")


@dataclass(frozen=True, slots=True)
class EveryVersion:
    """Every version."""

    def choose(self, versions: Iterable[int]) -> frozenset[int]:
        """Those of the versions, which can be served, that are wanted."""
        return frozenset(versions)

    def __str__(self) -> str:
        return "all"


@dataclass(frozen=True, slots=True)
class LatestVersions:
    """The highest versions.

    Attributes:
        count: How many, at least 1.
    """

    count: int

    def choose(self, versions: Iterable[int]) -> frozenset[int]:
        """Those of the versions, which can be served, that are wanted."""
        return frozenset(sorted(versions)[-self.count :])

    def __str__(self) -> str:
        return f"latest:{self.count}"


@dataclass(frozen=True, slots=True)
class ListedVersions:
    """Versions by their numbers.

    Attributes:
        numbers: At least one.
    """

    numbers: frozenset[int]

    def choose(self, versions: Iterable[int]) -> frozenset[int]:
        """Those of the versions, which can be served, that are wanted."""
        return self.numbers.intersection(versions)

    def __str__(self) -> str:
        return ",".join(map(str, sorted(self.numbers)))


VersionPolicy = EveryVersion | LatestVersions | ListedVersions


@dataclass(frozen=True, slots=True)
class VersionPolicies:
    """The policy of each model.

    Attributes:
        default: Of the models that are not named.
        named: Of those that are.
    """

    default: VersionPolicy
    named: Mapping[str, VersionPolicy] = field(default_factory=dict)

    def of(self, model: str) -> VersionPolicy:
        """The policy of a model."""
        return self.named.get(model, self.default)


EVERY_VERSION = VersionPolicies(EveryVersion())
DEFAULT_POLICY = LatestVersions(2)


def parse_policy(text: str) -> VersionPolicy:
    """Read the policy of one model; ``str`` writes it again.

    Raises:
        ValueError: If it is none.
    """
    kind, colon, count = text.partition(":")
    if text == "all":
        return EveryVersion()
    if kind == "latest" and colon and _NUMBER.fullmatch(count):
        return LatestVersions(int(count))
    numbers = [number.strip() for number in text.split(",")]
    if all(_NUMBER.fullmatch(number) for number in numbers):
        return ListedVersions(frozenset(map(int, numbers)))
    raise ValueError(f"expected all, latest:N or numbers of versions as in 1,3 where it says {text!r}")


def parse_policies(text: str) -> VersionPolicies:
    """Read the policies of all models.

    Raises:
        ValueError: If a part is none, or two parts are for the same models; the text names it.
    """
    parts: dict[str, VersionPolicy] = {}
    for part in text.split(";"):
        model, equals, policy = part.rpartition("=")
        name = model.strip()
        if equals and not _MODEL.fullmatch(name):
            raise ValueError(f"expected the name of a model where it says {name!r}")
        parsed = parse_policy(policy.strip())
        if name in parts:
            raise ValueError(f"expected one part for {name or 'the models that are not named'}, not several")
        parts[name] = parsed
    return VersionPolicies(parts.pop("", DEFAULT_POLICY), parts)
