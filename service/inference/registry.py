"""This module holds the models that are served, and keeps them in step with the store.

A new version is loaded and tested beside those that answer, and only then takes its place; one that fails leaves
them as they are and its reason in the index. A version whose own files change is loaded anew, and no longer served if
that fails. Which version answers where a request names none: the one that the store pins, else the highest that is
ready. While a pinned version can't be served, the default stays what it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from models.errors import ModelsError
from models.store import Store
from service.errors import EngineError, NotFound, NotReady
from service.inference.served_model import ServedModel

State = Literal["LOADING", "READY", "UNAVAILABLE"]
Key = tuple[str, int]

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
class _Version:
    """What is known of one version; ``signature`` tells whether its files are still those that were looked at."""

    signature: object
    state: State
    reason: str = ""
    served: ServedModel | None = None


@dataclass(frozen=True, slots=True)
class _Model:
    versions: Mapping[int, _Version] = field(default_factory=dict)
    default: int | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """What is in the store: signatures of versions, and by model the version that is pinned, or why none can be."""

    signatures: dict[Key, object]
    pins: dict[str, int | str | None]


class Registry:
    """The models of one store.

    Args:
        store: Where they come from.
        load: Opens one version of the store; it may take long, and runs in a thread.
    """

    def __init__(self, store: Store, load: Callable[[str, int], ServedModel]) -> None:
        self._store = store
        self._load = load
        self._models: dict[str, _Model] = {}
        self._pins: Mapping[str, int | str | None] = {}
        self._problems: dict[str, str | None] = {}
        self._refreshing = asyncio.Lock()
        self.loaded = asyncio.Event()

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """Find the model that is to answer.

        Raises:
            NotFound: If the store has no such model or version.
            NotReady: If it has, but it can't be served now; the text says why.
        """
        model = self._models.get(name)
        if model is None:
            known = ", ".join(sorted(self._models)) or "none"
            raise NotFound(f"model {name!r} is not known; there are: {known}")
        number = model.default if version is None else _number(version)
        found = None if number is None else model.versions.get(number)
        if found is None:
            if version is None:
                problem = self._problems.get(f"default of {name}")
                why = f"{problem}; {_reasons(model)}" if problem else _reasons(model)
                raise NotReady(f"model {name!r} has no version that can be served: {why}")
            known = ", ".join(map(str, sorted(model.versions)))
            raise NotFound(f"model {name!r} has no version {version!r}; there are: {known}")
        if found.served is None:
            raise NotReady(f"model {name!r} version {number} can't be served: {found.reason or 'it is loading'}")
        return found.served

    def ready_versions(self, name: str) -> list[str]:
        """Versions of a model that answer, ascending."""
        model = self._models.get(name, _Model())
        return [str(number) for number, version in sorted(model.versions.items()) if version.served is not None]

    def served(self) -> list[ServedModel]:
        """Every version that answers."""
        models = [model for _, model in sorted(self._models.items())]
        return [v.served for model in models for _, v in sorted(model.versions.items()) if v.served is not None]

    def index(self) -> list[VersionState]:
        """Every version of the store, by name and version."""
        return [
            VersionState(name, str(number), version.state, version.reason)
            for name, model in sorted(self._models.items())
            for number, version in sorted(model.versions.items())
        ]

    async def refresh(self) -> None:
        """Look at the store and take over what changed: load, replace, unload, choose defaults."""
        async with self._refreshing:
            seen = await asyncio.to_thread(self._look)
            if seen is None:
                return
            self._pins = seen.pins
            self._forget(seen.signatures)
            for (name, number), signature in seen.signatures.items():
                known = self._models.get(name, _Model()).versions.get(number)
                if known is None or known.signature != signature:
                    await self._take(name, number, signature, known)
            for name in self._models:
                self._tell(f"default of {name}", self._choose_default(name))
            self.loaded.set()

    def _look(self) -> _Look | None:
        """See what is in the store; of a model that can't be read, what was known; None if nothing can be."""
        try:
            names = self._store.models()
        except ModelsError as error:
            self._tell("store", f"the store can't be read, nothing changes: {error}")
            return None
        self._tell("store", None)
        seen = _Look({}, {})
        for name in names:
            problem = None
            try:
                for number in self._store.versions(name):
                    seen.signatures[name, number] = _signature(self._store.bundle_path(name, number))
            except (ModelsError, OSError) as error:  # a folder may go while it is read
                problem = f"model {name} can't be read, nothing changes: {error}"
                known = self._models.get(name, _Model()).versions
                seen.signatures.update({(name, number): version.signature for number, version in known.items()})
            self._tell(f"folder of {name}", problem)
            try:
                seen.pins[name] = self._store.pinned_version(name)
            except ModelsError as error:
                seen.pins[name] = str(error)
        return seen

    def _forget(self, signatures: Mapping[Key, object]) -> None:
        for name, model in list(self._models.items()):
            kept = {number: v for number, v in model.versions.items() if (name, number) in signatures}
            for number in model.versions.keys() - kept.keys():
                log.info("model %s version %d is gone from the store, unloaded", name, number)
            if kept:
                self._models[name] = replace(model, versions=kept)
                self._choose_default(name)
            else:
                del self._models[name]

    async def _take(self, name: str, number: int, signature: object, known: _Version | None) -> None:
        """Load one version; until it is there, what answered before goes on answering."""
        if known is None:
            self._put(name, number, _Version(signature, "LOADING"))
        try:
            served = await asyncio.to_thread(self._load, name, number)
        except Exception as error:  # whatever is wrong with one version, the others are served
            expected = isinstance(error, ModelsError | EngineError)
            log.error("model %s version %d can't be served: %s", name, number, error, exc_info=not expected)
            self._put(name, number, _Version(signature, "UNAVAILABLE", str(error) or type(error).__name__))
        else:
            log.info("model %s version %d is ready on %s", name, number, served.device)
            self._put(name, number, _Version(signature, "READY", served=served))
        self._choose_default(name)

    def _tell(self, subject: str, problem: str | None) -> None:
        """Log what is wrong with something, or that nothing is; once for as long as it lasts."""
        if problem and self._problems.get(subject) != problem:
            log.error("%s", problem)
        self._problems[subject] = problem

    def _put(self, name: str, number: int, version: _Version) -> None:
        model = self._models.get(name, _Model())
        self._models[name] = replace(model, versions={**model.versions, number: version})

    def _choose_default(self, name: str) -> str | None:
        """Choose which version of a model answers; what is wrong if it can't be the one that is wanted."""
        model = self._models[name]
        ready = [number for number, version in model.versions.items() if version.served is not None]
        pinned = self._pins.get(name)
        problem = None
        if pinned is None:
            chosen = max(ready, default=None)
        elif not isinstance(pinned, str) and pinned in ready:
            chosen = pinned
        else:
            chosen = model.default if model.default in ready else None
            pins = f"model {name} can't answer with version {pinned}, which its store pins"
            problem = pinned if isinstance(pinned, str) else pins
        if chosen != model.default:
            log.info("model %s answers with %s", name, "no version" if chosen is None else f"version {chosen}")
            self._models[name] = replace(model, default=chosen)
        return problem


def _signature(path: Path) -> object:
    status = [(file.name, file.lstat()) for file in path.iterdir()]
    return sorted((name, s.st_size, s.st_mtime_ns) for name, s in status)


def _number(version: str) -> int | None:
    """The number that a version in a path is; only as it is written in the store, so not 01."""
    canonical = version.isascii() and version.isdigit() and len(version) < 19 and version[0] != "0"
    return int(version) if canonical else None


def _reasons(model: _Model) -> str:
    return "; ".join(
        f"version {number}: {version.reason or version.state.lower()}"
        for number, version in sorted(model.versions.items())
    )
