"""This module holds the models that are served, keeps them in step with the store, and changes them as clients ask."""

from __future__ import annotations

import asyncio
import logging

from models.errors import ModelsError
from models.store import Store
from service.errors import NotFound, NotReady, ServiceError
from service.inference.control import Control
from service.inference.lease import Lease
from service.inference.model_versions import Pin, VersionState
from service.inference.promotion import Promotion, promote, roll_back, unpin
from service.inference.served_model import ServedModel
from service.inference.stored_model import Load, StoredModel
from service.inference.versions import ListedVersions, VersionPolicy

log = logging.getLogger(__name__)


class Registry:
    """The models of one store.

    Args:
        store: Where they come from.
        load: Opens one version of the store; it may take long, and runs in a thread.
        control: What is wanted of them; every version, and nothing that outlives the registry, if it is not given.

    Attributes:
        loaded: Set when the store was read and everything that is wanted of it was loaded, or failed.
    """

    def __init__(self, store: Store, load: Load, control: Control | None = None) -> None:
        self._store = store
        self._load = load
        self._control = Control() if control is None else control
        self._models: dict[str, StoredModel] = {}
        self._problem: str | None = None
        self.loaded = asyncio.Event()

    def hold(self, name: str, version: str | None = None) -> Lease:
        """The model that is to answer, for a request to enter (``with``) until it has its answer.

        Whatever becomes of the version meanwhile, the model is not closed before.

        Raises:
            NotFound: If the store has no such model or version.
            NotReady: If it has, but it can't be served now; the text says why.
        """
        model = self._models.get(name)
        lease = None if model is None else model.versions.lease(version)
        if lease is None:
            raise self._refusal(name, version)
        return lease

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """The model that is to answer, to look at it at once; errors are those of ``hold``."""
        return self.hold(name, version).served

    def ready_versions(self, name: str) -> list[str]:
        """Versions of a model that answer, ascending."""
        model = self._models.get(name)
        return [] if model is None else [str(number) for number in model.versions.ready()]

    def default(self, name: str) -> int | None:
        """The version of a model that answers where a request names none, if one does."""
        model = self._models.get(name)
        return None if model is None else model.versions.default

    def pin(self, name: str) -> Pin:
        """What the store pins of a model; it may be another version than the default, where that can't be served."""
        model = self._models.get(name)
        return None if model is None else model.versions.pin

    def served(self) -> list[ServedModel]:
        """Every version that answers, by name and version."""
        leases = [model.versions.lease(str(n)) for model in self._sorted() for n in model.versions.ready()]
        return [lease.served for lease in leases if lease is not None]

    def index(self) -> list[VersionState]:
        """Every version of the store, by name and version."""
        return [state for model in self._sorted() for state in model.versions.states()]

    def policy(self, name: str) -> VersionPolicy:
        """Which versions of a model are loaded."""
        return self._control.wish(name).policy

    async def refresh(self) -> None:
        """Look at the store and take over what changed: load, replace, unload, choose defaults."""
        try:
            names = await asyncio.to_thread(self._look)
        except ModelsError as error:
            problem = f"the store can't be read, nothing changes: {error}"
            if problem != self._problem:  # told once for as long as it lasts
                log.error("%s", problem)
            self._problem = problem
            return
        self._problem = None
        for name in names:
            self._model(name)
        for model in self._sorted():  # what is quick first, so that none waits for what another loads
            await model.look()
        for model in self._sorted():
            await model.settle()
        self.loaded.set()

    async def load(self, name: str, policy: VersionPolicy | None = None) -> None:
        """Load what is wanted of a model, and try again what failed; what can't be loaded is wanted all the same.

        Args:
            name: Of the model.
            policy: Which versions are wanted from now on; those of the settings if none is given.

        Raises:
            NotFound: If the store has no such model, or not all versions that the policy lists.
            NotReady: If no version that is wanted can be served.
            StoreUnwritable: If other processes can't be told.
        """
        model = await self._stored(name)
        if isinstance(policy, ListedVersions):
            await model.look()
            if missing := policy.numbers - model.versions.known.keys():
                raise model.versions.refusal(str(min(missing)))
        await asyncio.to_thread(self._control.load, name, policy)
        async with model.changing():
            await model.load_wanted()
        lease = self.hold(name)
        if not model.wanted_answers():
            raise NotReady(
                f"model {name!r} has no version of the policy {self.policy(name)} that can be served, "
                f"version {lease.served.version} goes on: {model.versions.reasons()}"
            )

    async def unload(self, name: str) -> None:
        """Let no version of a model answer until it is loaded; requests under way are answered.

        Raises:
            NotFound: If the store has no such model.
            StoreUnwritable: If other processes can't be told.
        """
        model = await self._stored(name)
        await asyncio.to_thread(self._control.unload, name)
        await model.look()

    async def promote(self, name: str, version: str) -> Promotion:
        """Pin a version; errors are those of ``promotion.promote``, and NotFound for a model that is not there."""
        return await promote(await self._stored(name), self._store, version)

    async def roll_back(self, name: str) -> Promotion:
        """Pin the version that was it before; errors are likewise."""
        return await roll_back(await self._stored(name), self._store)

    async def unpin(self, name: str) -> Promotion:
        """Let the highest version answer again; errors are likewise."""
        return await unpin(await self._stored(name), self._store)

    def _look(self) -> list[str]:
        self._control.read()
        return self._store.models()

    async def _stored(self, name: str) -> StoredModel:
        """A model of which the store has a version."""
        try:
            there = name in await asyncio.to_thread(self._store.models)
        except ModelsError as error:
            raise NotReady(f"the store can't be read: {error}") from error
        if not there:
            raise self._not_found(name)
        model = self._model(name)
        if not model.versions.known:
            await model.look()
        if not model.versions.known:
            raise self._not_found(name)
        return model

    def _model(self, name: str) -> StoredModel:
        if name not in self._models:
            self._models[name] = StoredModel(name, self._store, self._load, self._control)
        return self._models[name]

    def _sorted(self) -> list[StoredModel]:
        return [model for _, model in sorted(self._models.items())]

    def _refusal(self, name: str, version: str | None) -> ServiceError:
        model = self._models.get(name)
        if model is not None and model.versions.known:
            return model.versions.refusal(version)
        return self._not_found(name) if self.loaded.is_set() else NotReady("the store is still being loaded")

    def _not_found(self, name: str) -> NotFound:
        known = ", ".join(model.name for model in self._sorted() if model.versions.known) or "none"
        return NotFound(f"model {name!r} is not known; there are: {known}")
