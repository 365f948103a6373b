"""This module applies loads in short turns, one after the other and round by round, by one process.

    python -m benchmarks.serving.turns --rounds 30 < loads.json

Servers that differ by little have to be compared within less time than the machine's own speed takes to change. All
connections to all of them are there at once, and only those of the load whose turn it is are used.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import uvloop
from pydantic import TypeAdapter

from benchmarks.serving.connection import AnswerError
from benchmarks.serving.load import ClosedLoad, Load, Outcome

LOADS = TypeAdapter(tuple[Load, ...])
OUTCOMES = TypeAdapter(list[list[Outcome]])
"""Of each round, those of its loads, in their order."""


def main() -> int:
    """Read closed loads from stdin, apply them in turn, write the outcomes to stdout."""
    parser = argparse.ArgumentParser(description="Apply closed loads in turn.")
    parser.add_argument("--rounds", type=int, required=True, help="turns of each load")
    rounds = parser.parse_args().rounds
    loads = LOADS.validate_json(sys.stdin.read())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            outcomes = runner.run(apply_in_turn(loads, rounds))
        except (AnswerError, OSError) as error:
            sys.stderr.write(f"turns: {error}\n")
            return 1
    print(OUTCOMES.dump_json(outcomes).decode())
    return 0


async def apply_in_turn(loads: tuple[Load, ...], rounds: int) -> list[list[Outcome]]:
    """Apply closed loads in turn; each round begins with the next of them.

    Raises:
        OSError: If a server can't be connected to.
        AnswerError: If no answer came in a turn.
    """
    applied = [ClosedLoad(load) for load in loads]
    outcomes: list[list[Outcome]] = []
    try:
        for one in applied:
            await one.connect()
        for number in range(rounds):
            found: dict[int, Outcome] = {}
            for place in range(len(applied)):
                turn = (number + place) % len(applied)
                found[turn] = await applied[turn].turn()
            outcomes.append([found[place] for place in range(len(applied))])
    finally:
        for one in applied:
            await one.close()
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
