"""This module changes which version of a model answers where a request names none: promote, roll back, unpin.

A version is loaded and tested before it is pinned, so that a model is never left without an answer, and the switch has
happened when these return. The store has it then too, so that it lasts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from models.errors import ModelNotFound, StoreError, VersionNotFound
from models.store import Store
from service.errors import Conflict, NotFound, NotReady, StoreUnwritable
from service.inference.model_versions import whole_version
from service.inference.stored_model import StoredModel


@dataclass(frozen=True, slots=True)
class Promotion:
    """Which version of a model answers now.

    Attributes:
        name: Name of the model.
        version: The one that does.
        previous: The one that did before; None if none did.
    """

    name: str
    version: str
    previous: str | None


async def promote(model: StoredModel, store: Store, version: str) -> Promotion:
    """Pin a version.

    Raises:
        NotFound: If the model has no such version.
        NotReady: If it can't be served.
        StoreUnwritable: If the pin can't be written.
    """
    async with model.changing():
        number = whole_version(version)
        if number is None or number not in model.versions.known:
            raise model.versions.refusal(version)
        return await _pin(model, number, lambda answered: store.pin_version(model.name, number, answered=answered))


async def roll_back(model: StoredModel, store: Store) -> Promotion:
    """Pin the version that was the default before the last promotion, passing over those that are gone.

    Raises:
        Conflict: If there is none.
        NotReady: If it can't be served.
        StoreUnwritable: If the pin can't be written.
    """
    async with model.changing():
        try:
            earlier = (await asyncio.to_thread(store.pins, model.name))[1:]
        except StoreError as error:
            raise Conflict(f"rollback: expected an earlier default of model {model.name!r}: {error}") from error
        number = next((number for number in earlier if number in model.versions.known), None)
        if number is None:
            raise Conflict(f"rollback: expected an earlier default of model {model.name!r}, got none")
        return await _pin(model, number, lambda _answered: store.roll_back(model.name, number))


async def unpin(model: StoredModel, store: Store) -> Promotion:
    """Let the highest version answer that can be served, whichever comes; earlier defaults are forgotten.

    Raises:
        NotReady: If none can be served.
        StoreUnwritable: If the pin can't be removed.
    """
    async with model.changing():
        _expect_loaded(model)
        if not model.versions.ready():
            raise model.versions.refusal(None)
        previous = model.versions.default
        await _write(lambda: store.unpin(model.name))
        model.versions.update(model.versions.known, None)
        model.unload_unwanted()
        return _promotion(model, previous)


async def _pin(model: StoredModel, number: int, write: Callable[[int | None], None]) -> Promotion:
    """Have a version answer, then write that it does, then switch; ``write`` is told which one answered."""
    _expect_loaded(model)
    previous = model.versions.default
    try:
        await model.require(number)
        await _write(lambda: write(previous))
        model.versions.update(model.versions.known, number)
    finally:
        model.unload_unwanted()
    return _promotion(model, previous)


async def _write(write: Callable[[], None]) -> None:
    try:
        await asyncio.to_thread(write)
    except (ModelNotFound, VersionNotFound) as error:  # it went meanwhile
        raise NotFound(str(error)) from error
    except StoreError as error:
        raise StoreUnwritable(str(error)) from error


def _expect_loaded(model: StoredModel) -> None:
    if model.unloaded():
        raise NotReady(f"model {model.name!r} is unloaded; load it before you change which version answers")


def _promotion(model: StoredModel, previous: int | None) -> Promotion:
    return Promotion(model.name, str(model.versions.default), None if previous is None else str(previous))
