"""This module is what is known of one model's versions: which answer, which one by default, and why others do not.

It may be read at any time, from any thread: whatever is read was assigned whole.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.errors import NotFound, NotReady, ServiceError
from service.inference.lease import Lease
from service.inference.versions import MOST_DIGITS

State = Literal["LOADING", "READY", "UNAVAILABLE"]
Pin = int | str | None
"""The version that the store pins, None where it pins none, or one sentence on why what it pins can't be told."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VersionState:
    """One version of the store, and whether it answers.

    Attributes:
        name: Name of the model.
        version: As the protocol writes it.
        state: As Triton calls it.
        reason: One sentence where it does not answer; else empty.
    """

    name: str
    version: str
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """What is known of one version.

    Attributes:
        signature: Tells whether its files are still those that were looked at.
        state: As Triton calls it.
        reason: One sentence where it does not answer; else empty.
        lease: On the model that answers, if one does.
        failed: Whether it was tried and can't be served; of those that do not answer, only the others may be tried.
    """

    signature: object
    state: State
    reason: str = ""
    lease: Lease | None = None
    failed: bool = False


class ModelVersions:
    """The versions of one model.

    Which one answers where a request names none: the one that the store pins, else the highest that is ready. While a
    pinned version can't be served, the default stays what it was.

    Args:
        name: Of the model.

    Attributes:
        known: Every version, by its number.
        pin: What the store pins.
        default: The version that answers where none is named, if one does.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.known: Mapping[int, KnownVersion] = {}
        self.pin: Pin = None
        self.default: int | None = None
        self._leases: Mapping[str | None, Lease] = {}

    def lease(self, version: str | None) -> Lease | None:
        """That of a version as requests name it, or of the default; None if it does not answer."""
        return self._leases.get(version)

    def update(self, known: Mapping[int, KnownVersion], pin: Pin) -> None:
        """Take over what is known of all versions, and what the store pins; retire the models that no longer answer."""
        before, leases = _leases(self.known), _leases(known)
        if pin != self.pin and not isinstance(pin, str):  # one that can't be told is a problem, and told as one
            log.info("model %s is %s", self.name, "no longer pinned" if pin is None else f"pinned to version {pin}")
        self.pin = pin
        default = self._choose_default(leases)
        if default != self.default:
            log.info("model %s answers with %s", self.name, "no version" if default is None else f"version {default}")
        self.known = known
        self.default = default
        named: dict[str | None, Lease] = {str(number): lease for number, lease in leases.items()}
        self._leases = named if default is None else {**named, None: leases[default]}
        for number, lease in before.items():
            if number not in leases:
                reason = known[number].reason if number in known else "it is gone from the store"
                log.info("model %s version %d is unloaded: %s", self.name, number, reason)
            if lease is not leases.get(number):
                lease.retire()

    def put(self, number: int, version: KnownVersion) -> None:
        """Take over what is known of one version."""
        self.update({**self.known, number: version}, self.pin)

    def ready(self) -> list[int]:
        """Numbers of the versions that answer, ascending."""
        return [number for number, version in sorted(self.known.items()) if version.lease is not None]

    def states(self) -> list[VersionState]:
        """Every version, ascending."""
        known = sorted(self.known.items())
        return [VersionState(self.name, str(number), version.state, version.reason) for number, version in known]

    def pin_problem(self) -> str | None:
        """One sentence on why the default can't be what the store pins, if it can't."""
        if isinstance(self.pin, str):
            return self.pin
        if self.pin is None or self.pin in self.ready():
            return None
        return f"model {self.name} can't answer with version {self.pin}, which its store pins"

    def refusal(self, version: str | None) -> ServiceError:
        """The error that says why a version, or the default, does not answer."""
        if version is None:
            problem = self.pin_problem()
            why = f"{problem}; {self.reasons()}" if problem else self.reasons()
            return NotReady(f"model {self.name!r} has no version that can be served: {why}")
        number = whole_version(version)
        found = None if number is None else self.known.get(number)
        if found is None:
            there = ", ".join(map(str, sorted(self.known)))
            return NotFound(f"model {self.name!r} has no version {version!r}; there are: {there}")
        return NotReady(f"model {self.name!r} version {number} can't be served: {found.reason or 'it is loading'}")

    def reasons(self) -> str:
        """Why versions do not answer, one after the other."""
        return "; ".join(
            f"version {number}: {version.reason or version.state.lower()}"
            for number, version in sorted(self.known.items())
        )

    def _choose_default(self, ready: Mapping[int, Lease]) -> int | None:
        if self.pin is None:
            return max(ready, default=None)
        if isinstance(self.pin, int) and self.pin in ready:
            return self.pin
        return self.default if self.default in ready else None


def _leases(known: Mapping[int, KnownVersion]) -> dict[int, Lease]:
    return {number: version.lease for number, version in known.items() if version.lease is not None}


def whole_version(version: str) -> int | None:
    """The number that a version in a path is; only as it is written in the store, so not 01."""
    digits = version.isascii() and version.isdigit() and len(version) <= MOST_DIGITS
    return int(version) if digits and version[0] != "0" else None
