"""This module holds what is wanted of each model: by the settings, and by what clients asked for since.

Where several processes serve one store, what clients asked one of them for is for all of them: then it is kept in a
file that each of them reads when it changes. The file lives as long as the service does; after a start the settings
alone count.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel

from models.durable import locked_folder, replace_file
from service.errors import StoreUnwritable
from service.inference.versions import EVERY_VERSION, VersionPolicies, VersionPolicy, parse_policy

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of one model.

    Attributes:
        policy: Which of its versions.
        unloaded: None of them, until it is loaded again.
        loads: How often clients asked to load it; at each time versions that failed are tried again.
    """

    policy: VersionPolicy
    unloaded: bool
    loads: int


def _policy(text: str) -> str:
    parse_policy(text)
    return text


class _Asked(BaseModel):
    """What clients asked for; ``policy`` in place of that of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unloaded: bool = False
    policy: Annotated[str, AfterValidator(_policy)] | None = None
    loads: Annotated[int, Field(ge=0)] = 0


_File = RootModel[dict[str, _Asked]]


class Control:
    """What is wanted of each model.

    Args:
        policies: By the settings.
        path: The file that processes share, in a folder of its own that exists; None if there is one process.
    """

    def __init__(self, policies: VersionPolicies = EVERY_VERSION, path: Path | None = None) -> None:
        self._policies = policies
        self._path = path
        self._asked: Mapping[str, _Asked] = {}
        self._changing = threading.Lock()

    def wish(self, model: str) -> Wish:
        """What is wanted of a model, as far as this process has read."""
        asked = self._asked.get(model, _Asked())
        policy = self._policies.of(model) if asked.policy is None else parse_policy(asked.policy)
        return Wish(policy, asked.unloaded, asked.loads)

    def read(self) -> None:
        """Take over what other processes were asked for; what can't be understood changes nothing."""
        with self._changing:
            self._read()

    def load(self, model: str, policy: VersionPolicy | None) -> None:
        """Want a model; by a policy of its own, or by that of the settings.

        Raises:
            StoreUnwritable: If the file can't be written.
        """
        text = None if policy is None else str(policy)
        self._change(model, lambda asked: _Asked(policy=text, loads=asked.loads + 1))

    def unload(self, model: str) -> None:
        """Want no version of a model until it is loaded.

        Raises:
            StoreUnwritable: If the file can't be written.
        """
        self._change(model, lambda asked: asked.model_copy(update={"unloaded": True}))

    def _change(self, model: str, change: Callable[[_Asked], _Asked]) -> None:
        with self._changing, contextlib.ExitStack() as stack:
            try:
                if self._path is not None:
                    stack.enter_context(locked_folder(self._path.parent))
                    self._read()
                asked = {**self._asked, model: change(self._asked.get(model, _Asked()))}
                if self._path is not None:
                    replace_file(self._path, _File(asked).model_dump_json().encode())
            except OSError as error:
                raise StoreUnwritable(f"{self._path}: expected a file that can be written: {error.strerror}") from error
            self._asked = asked

    def _read(self) -> None:
        if self._path is None:
            return
        try:
            self._asked = _File.model_validate_json(self._path.read_bytes()).root
        except FileNotFoundError:  # nobody has asked for anything
            return
        except (OSError, ValueError) as error:
            log.error("%s: expected what clients asked for, nothing changes: %s", self._path, error)
