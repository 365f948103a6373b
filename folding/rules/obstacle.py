"""This module holds what a folding rule says where it does not apply."""

from __future__ import annotations


class Obstacle(Exception):
    """Why a rule does not fold a layer: a clause that can follow "not backward:"; never leaves this package."""
