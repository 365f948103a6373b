"""This module is the commands that measure: what each measures by default, and in the few seconds of ``--quick``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.serving import client, decoding, rounds, starting
from benchmarks.serving.contenders import FLOOR, FLOOR_IN_THREAD, OURS
from benchmarks.serving.networks import Network, built, demo
from benchmarks.serving.observed import BY_BUDGET, EVERY_ROW, OFF
from benchmarks.serving.peers.setups import PEERS
from benchmarks.serving.rounds import CONNECTIONS, SHARES, Keep, Plan

QUICK_S = 0.3


@dataclass(frozen=True, slots=True)
class Options:
    """How long and how often.

    Attributes:
        rounds: How many; None for what the command takes by default.
        seconds: Of each load; None for what the command takes by default.
        threads: Of every run of a network.
        quick: One round of the demo under the least and the most of the loads, for tests: the figures mean nothing.
    """

    rounds: int | None = None
    seconds: float | None = None
    threads: int = 1
    quick: bool = False

    def num_rounds(self, default: int) -> int:
        """What was asked for, else one if it is to be quick, else the default."""
        return self.rounds or (1 if self.quick else default)

    def load_s(self, default: float) -> float:
        """The same of the seconds of a load."""
        return self.seconds or (QUICK_S if self.quick else default)

    @property
    def connections(self) -> Sequence[int]:
        """Those of closed loads on a small network."""
        return CONNECTIONS[:: len(CONNECTIONS) - 1] if self.quick else CONNECTIONS

    @property
    def shares(self) -> Sequence[float]:
        """Those of open loads."""
        return SHARES[-1:] if self.quick else SHARES


def _client(options: Options, keep: Keep) -> None:
    client.measure(keep, options.connections, rounds=options.num_rounds(3), seconds=options.load_s(1.0))


def _serve(options: Options, keep: Keep) -> None:
    plans = [_small(demo(), options)] if options.quick else _plans(options)
    for plan in plans:
        rounds.measure(plan, keep, rounds=options.num_rounds(3), threads=options.threads)


def _plans(options: Options) -> list[Plan]:
    resnet = Plan(
        network=built("resnet18"),
        contenders=(FLOOR, FLOOR_IN_THREAD, OURS),
        connections={"json": (1, 4), "binary": (1, 4, 16)},
        open_encodings=("binary",),
        session_rows=(1, 4, 16),
        seconds=options.load_s(2.2),
    )
    return [_small(built("cnn"), options), _small(built("mlp"), options), resnet]


def _small(network: Network, options: Options) -> Plan:
    return Plan(
        network=network,
        contenders=(FLOOR, OURS),
        connections={"json": options.connections, "binary": options.connections},
        open_encodings=("json", "binary"),
        open_shares=options.shares,
        session_rows=options.connections,
        seconds=options.load_s(1.2),
    )


def _observe(options: Options, keep: Keep) -> None:
    contenders = (OFF, BY_BUDGET, EVERY_ROW)
    small = Plan(
        network=demo() if options.quick else built("cnn"),
        contenders=contenders,
        connections={"binary": options.connections},
        seconds=options.load_s(0.25),
    )
    large = Plan(
        network=built("resnet18"),
        contenders=contenders,
        connections={"binary": (1, 4)},
        seconds=options.load_s(0.75),
    )
    for plan in [small] if options.quick else [small, large]:
        rounds.measure_close(plan, keep, rounds=options.num_rounds(120), threads=options.threads)


def _decode(options: Options, keep: Keep) -> None:
    decoding.measure(keep, rounds=options.num_rounds(15), repeats=1 if options.quick else 10)


def _start(options: Options, keep: Keep) -> None:
    starting.measure(keep, rounds=options.num_rounds(9))


def _peers(options: Options, keep: Keep) -> None:
    plan = Plan(
        network=demo() if options.quick else built("cnn"),
        contenders=(FLOOR, OURS, *(contender for peer in PEERS for contender in peer.contenders())),
        connections={"json": options.connections, "binary": options.connections},
        seconds=options.load_s(2.0),
    )
    rounds.measure(plan, keep, rounds=options.num_rounds(3), threads=options.threads)


COMMANDS: Mapping[str, Callable[[Options, Keep], None]] = {
    "client": _client,
    "serve": _serve,
    "observe": _observe,
    "decode": _decode,
    "start": _start,
    "peers": _peers,
}
