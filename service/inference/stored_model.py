"""This module keeps one model in step with its folder in the store.

A version is loaded and tested beside those that answer, and only then takes its place; one that fails leaves them as
they are and its reason in the index. A version whose own files change is loaded anew, and no longer served if that
fails. What is no longer wanted is unloaded last, when what is wanted answers; where nothing of that can be served, the
version that answered goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from models.errors import ModelsError
from models.store import Store
from service.errors import EngineError
from service.inference.control import Control
from service.inference.lease import Lease
from service.inference.look import Look, look_at
from service.inference.model_versions import KnownVersion, ModelVersions
from service.inference.served_model import ServedModel

Load = Callable[[str, int], ServedModel]

WAITS = "it waits to be loaded"
UNLOADED = "unloaded"

log = logging.getLogger(__name__)


class StoredModel:
    """One model of the store.

    Args:
        name: Its name.
        store: Where it is.
        load: Opens one version of the store; it may take long, and runs in a thread.
        control: What is wanted of it.

    Attributes:
        versions: What is known of it.
    """

    def __init__(self, name: str, store: Store, load: Load, control: Control) -> None:
        self.name = name
        self.versions = ModelVersions(name)
        self._store = store
        self._load = load
        self._control = control
        self._seen = Look()
        self._loads = 0
        self._problems: dict[str, str | None] = {}
        self._changing = asyncio.Lock()

    async def look(self) -> None:
        """Take over what changed in the store, and what clients asked for, as far as that needs no loading."""
        async with self.changing():
            pass

    async def settle(self) -> None:
        """Load what is wanted of what was seen last, and unload what is not."""
        async with self._changing:
            await self.load_wanted()

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Let nobody else change the model meanwhile, and begin with what is in the store now.

        What follows below is for whoever is inside.
        """
        async with self._changing:
            self._seen = await asyncio.to_thread(look_at, self._store, self.name, self._seen)
            self._take_over()
            yield

    async def load_wanted(self) -> None:
        """Load what is wanted, and unload what is not."""
        while (number := self._next()) is not None:
            await self._load_version(number)
        self.unload_unwanted()

    async def require(self, number: int) -> None:
        """Load a known version if it does not answer, wanted or not; one that failed is tried again.

        Raises:
            NotReady: If it can't be served.
        """
        if not self._answers(number):
            await self._load_version(number)
        if self.versions.known[number].lease is None:
            raise self.versions.refusal(str(number))

    def unload_unwanted(self) -> None:
        """Unload what is gone or not wanted, now that what is wanted answers."""
        if self.unloaded():
            return
        versions = self.versions
        kept: set[int | None] = {*self._wanted()}
        if not self.wanted_answers() or versions.pin_problem():
            kept.add(versions.default)
        reason = f"not loaded: the version policy is {self._control.wish(self.name).policy}"
        versions.update(
            {
                number: version if number in kept or version.failed else _without_model(version, reason)
                for number, version in versions.known.items()
                if number in self._seen.signatures
            },
            versions.pin,
        )
        self._tell("default", versions.pin_problem())

    def unloaded(self) -> bool:
        """Whether clients want no version of it."""
        return self._control.wish(self.name).unloaded

    def wanted_answers(self) -> bool:
        """Whether a version answers that is wanted, not only one that is left where those can't be served."""
        return not self._wanted().isdisjoint(self.versions.ready())

    async def _load_version(self, number: int) -> None:
        """Load one version; until it is there, what answered for it before goes on."""
        signature = self._seen.signatures[number]
        known = self.versions.known[number]
        if known.lease is None:
            self.versions.put(number, KnownVersion(signature, "LOADING"))
        try:
            served = await asyncio.to_thread(self._load, self.name, number)
        except Exception as error:  # whatever is wrong with one version, the others are served
            expected = isinstance(error, ModelsError | EngineError)
            log.error("model %s version %d can't be served: %s", self.name, number, error, exc_info=not expected)
            reason = str(error) or type(error).__name__
            self.versions.put(number, KnownVersion(signature, "UNAVAILABLE", reason, failed=True))
        else:
            log.info("model %s version %d is ready on %s", self.name, number, served.device)
            self.versions.put(number, KnownVersion(signature, "READY", lease=Lease(served)))

    def _take_over(self) -> None:
        """Take over what needs no loading: what is new, pinned or gone, and what clients asked for."""
        seen, wish = self._seen, self._control.wish(self.name)
        self._tell("folder", seen.problem)
        known = {
            number: self.versions.known.get(number, KnownVersion(signature, "UNAVAILABLE", WAITS))
            for number, signature in seen.signatures.items()
        }
        if wish.unloaded:
            known = {number: _without_model(version, UNLOADED) for number, version in known.items()}
        elif known and not any(version.lease for version in known.values()):
            # what is gone answers until there is another
            known |= {number: version for number, version in self.versions.known.items() if version.lease}
        if wish.loads != self._loads:
            self._loads = wish.loads
            known = {number: replace(version, failed=False) for number, version in known.items()}
        self.versions.update(known, seen.pin)

    def _wanted(self) -> frozenset[int]:
        """The versions that are to answer, of all that are not known to fail."""
        if self.unloaded():
            return frozenset()
        known = self.versions.known
        possible = {number for number in self._seen.signatures if not (known[number].failed and self._is_same(number))}
        return self._control.wish(self.name).policy.choose(possible) | {n for n in possible if n == self.versions.pin}

    def _next(self) -> int | None:
        """The version to load next: the one that is pinned, then from the highest downwards."""
        missing = [number for number in self._wanted() if not self._answers(number)]
        return max(missing, key=lambda number: (number == self.versions.pin, number), default=None)

    def _answers(self, number: int) -> bool:
        return self.versions.known[number].lease is not None and self._is_same(number)

    def _is_same(self, number: int) -> bool:
        """Whether the files of a version are still those that are known."""
        return self.versions.known[number].signature == self._seen.signatures[number]

    def _tell(self, subject: str, problem: str | None) -> None:
        """Log what is wrong with something, or that nothing is; once for as long as it lasts."""
        if problem and self._problems.get(subject) != problem:
            log.error("%s", problem)
        self._problems[subject] = problem


def _without_model(version: KnownVersion, reason: str) -> KnownVersion:
    return KnownVersion(version.signature, "UNAVAILABLE", reason)
