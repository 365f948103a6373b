"""This module lets requests hold a served model, so that it is closed only when the last of them has its answer."""

from __future__ import annotations

from service.inference.served_model import ServedModel


class Lease:
    """A served model that requests enter and leave; belongs to the event loop on which it is used.

    Every request that it serves enters the same lease, so holding a model costs no more than counting:

        with lease as served:
            ...

    Attributes:
        served: The model.
    """

    __slots__ = ("_holders", "_retired", "served")

    def __init__(self, served: ServedModel) -> None:
        self.served = served
        self._holders = 0
        self._retired = False

    def __enter__(self) -> ServedModel:
        self._holders += 1
        return self.served

    def __exit__(self, *_error: object) -> None:
        self._holders -= 1
        self._close_if_unused()

    def retire(self) -> None:
        """Close the model as soon as nobody holds it; nobody is given it any more."""
        self._retired = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._retired and self._holders == 0:
            self.served.close()
