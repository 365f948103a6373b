"""This module kills jobs at random moments until they are done, and compares what they publish with that of no kill.

A round is one job in an empty folder. Its processes are killed one to four times, by SIGKILL or SIGTERM: while they
start, in the fit, while a checkpoint is written, after the fit, while a version is written. In some rounds the newest
checkpoint is damaged between two processes. Then the command runs to its end.
"""

from __future__ import annotations

import hashlib
import json
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.training.attempt import Moment, Place, run
from models.store import Store
from training.exit_codes import ExitCode

JOBS: dict[str, tuple[str, ...]] = {
    "a multilayer perceptron, rows shifted": ("augment={shift_pixels: 1}", "epochs=30"),
    "a convolution and Dropout": ("network=dropping", "arguments={}", "epochs=30"),
}
MAX_KILLS = 4
DAMAGED_EVERY = 4
"""Rounds: in every fourth one a checkpoint is damaged."""

MOMENTS = ("step", "step", "step", "step", "checkpoint", "verified", "publishing", "exec")
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
ENDED = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: ExitCode.TERMINATED}

Hashes = dict[str, str]


@dataclass(slots=True)
class Result:
    """What came of the rounds of one job.

    Attributes:
        job: What was fitted.
        steps: How many steps its fit has.
        fit_s: How long it took without a kill.
        rounds: How many.
        kills: How often it was killed, by signal and by what it had come to.
        beginnings: After how many kills something lay there half-written, a checkpoint or a version, under a name that
            no one reads.
        resumed: How many times a fit went on from a checkpoint.
        damaged: How many checkpoints were damaged.
        told: How many of these were told of.
        files: How many published files were compared.
        problems: What was wrong, one sentence each.
    """

    job: str
    steps: int = 0
    fit_s: float = 0.0
    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    beginnings: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    damaged: int = 0
    told: int = 0
    files: int = 0
    problems: list[str] = field(default_factory=list)


def kill(
    job: str,
    rounds: int,
    tell: Callable[[str], None],
    *,
    changes: Sequence[str] = (),
    moments: Sequence[str] = MOMENTS,
    seed: int | None = None,
) -> Result:
    """Kill one job so many rounds.

    Args:
        job: Which of ``JOBS``.
        rounds: How many.
        tell: Told of each round.
        changes: Further changes of the recipe.
        moments: What a kill may wait for; one of them is drawn each time.
        seed: Of the moments.
    """
    chance = random.Random(seed)  # noqa: S311  the moments of kills
    arguments = ["digits-mlp", "--checkpoint-every-s", "0.3", *_set(*JOBS[job], *changes)]
    result = Result(job)
    with tempfile.TemporaryDirectory() as folder:
        unkilled = Place(Path(folder) / "unkilled", "digits-mlp")
        _measure(unkilled, arguments, result)
        expected = published(unkilled)
        for number in range(rounds):
            place = Place(Path(folder) / f"round-{number}", "digits-mlp")
            story = _round(place, arguments, result, chance, moments, damages=number % DAMAGED_EVERY == 1)
            found = published(place)
            wrong = sorted(name for name in expected | found if expected.get(name) != found.get(name))
            result.rounds += 1
            result.files += len(found)
            result.resumed += place.events().count("resumed")
            result.told += place.events().count("checkpoint-damaged")
            result.problems += [f"round {number + 1}: {name} is another" for name in wrong]
            tell(f"{job}, round {number + 1}: {', '.join(story)}: {'; '.join(wrong) or 'the same files'}")
    return result


def published(place: Place) -> Hashes:
    """What a store has: the hash of every file, and of all that a manifest says but moments and durations."""
    hashes: Hashes = {}
    store = Store(place.store)
    for version in store.versions(place.name):
        manifest = json.loads((store.open(place.name, version).path / "manifest.json").read_text())
        hashes |= {f"{version}/{name}": record["sha256"] for name, record in manifest.pop("files").items()}
        del manifest["created"], manifest["training"]["seconds"]
        manifest["folding"] = None  # has measured times
        hashes[f"{version}/manifest"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    return hashes


def _round(
    place: Place,
    arguments: Sequence[str],
    result: Result,
    chance: random.Random,
    moments: Sequence[str],
    *,
    damages: bool,
) -> list[str]:
    story: list[str] = []
    for _ in range(chance.randint(1, MAX_KILLS)):
        after = chance.choice(moments)
        reach = {"step": result.fit_s, "exec": 1.0, "verified": 0.2, "checkpoint": 0.01, "publishing": 0.01}[after]
        moment = Moment(after, chance.uniform(0, reach), chance.choice(SIGNALS))
        code = run(place, arguments, moment)
        if code == ExitCode.DONE:
            return [*story, "done before it was killed"]
        if code not in (ENDED[moment.number], -moment.number):  # SIGTERM ends a process that has no handler yet
            result.problems.append(f"round {result.rounds + 1}: {moment.number.name} ended it with {code}")
        story.append(f"{moment.number.name} {_came_to(place)}")
        result.kills[story[-1]] += 1
        result.beginnings.update(what for what in ("checkpoint", "publishing") if place.begun(what))
        if damages:
            result.damaged += _damage(place, chance)
    code = run(place, arguments)
    if code != ExitCode.DONE:
        result.problems.append(f"round {result.rounds + 1}: it ended with {code}")
    return story


def _measure(place: Place, arguments: Sequence[str], result: Result) -> None:
    started = time.monotonic()
    code = run(place, arguments)
    assert code == ExitCode.DONE, f"the job that is not killed ended with {code} after {time.monotonic() - started} s"
    lines = [json.loads(line) for line in (place.job / "log.jsonl").read_text().splitlines()]
    result.steps = next(line["steps"] for line in lines if line["event"] == "started")
    result.fit_s = next(line["seconds"] for line in lines if line["event"] == "fitted")


def _came_to(place: Place) -> str:
    events = place.events()
    if "verified" in events:
        return "while it published"
    if "fitted" in events:
        return "after the fit"
    return "in the fit" if "started" in events else "while it started"


def _damage(place: Place, chance: random.Random) -> int:
    """Flip a bit of the newest checkpoint, or cut it off, if there is one; how many were damaged."""
    checkpoints = sorted(place.checkpoints.glob("step-*.pt"))
    if not checkpoints or list(place.checkpoints.glob("fitted-*.pt")):
        return 0
    data = bytearray(checkpoints[-1].read_bytes())
    at = chance.randrange(len(data))
    if chance.random() < 0.5:
        data[at] ^= 1 << chance.randrange(8)
    else:
        del data[at:]
    checkpoints[-1].write_bytes(data)
    return 1


def _set(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", change)]
