"""This module is the command line of the drift studies; ``python -m benchmarks.drift --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks.drift import alarms, alarms_page, detection, detection_page, recalibration, recalibration_page
from benchmarks.drift.corruptions import CORRUPTIONS
from benchmarks.drift.data import Mnist, halves, load_mnist
from benchmarks.drift.detectors import DETECTORS
from benchmarks.drift.grounds import GROUNDS
from benchmarks.drift.network import RECIPE, load_network
from benchmarks.folding.results import Environment, Line, Results
from models.store import Store

PAGE = "page"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a study, or write the pages of what was measured; 1 if a bar is missed."""
    options = _parser().parse_args(arguments)
    results = Results(options.results)
    if options.command == PAGE:
        return _write_pages(options.docs, results)
    data = load_mnist(options.mnist)
    if options.command == recalibration.COMMAND:
        _recalibrate(options, data, results)
    elif options.command == alarms.COMMAND:
        _alarm(options, data, results)
    else:
        with threadpool_limits(1):  # small products: threads of theirs wait for each other longer than they help
            _detect(options, data, results)
    return 0


def _recalibrate(options: argparse.Namespace, data: Mnist, results: Results) -> None:
    bundle = load_network(Store(options.store), data)
    for case in recalibration.CASES:
        if options.only not in case.name or case.name in results.of(recalibration.COMMAND):
            continue
        record = recalibration.measure(bundle, data.test, case, draws=options.draws)
        line = Line(
            command=recalibration.COMMAND,
            case=case.name,
            environment=Environment.current(),
            record=record.model_dump(),
        )
        results.add(line)
        _tell(f"{case.name}: {recalibration_page.describe(record)}")


def _detect(options: argparse.Namespace, data: Mnist, results: Results) -> None:
    ground = GROUNDS[options.ground]
    data = ground.lay_all(data)
    bundle = load_network(Store(options.store), data, RECIPE.model_copy(update={"name": ground.model}))
    moved_data = detection.data_sets(data, options.fashion, ground)
    known = results.of(detection.COMMAND)
    names = {
        (name, moved): detection.case_name(name, moved, options.ground) for name in DETECTORS for moved in moved_data
    }
    cases = {key: case for key, case in names.items() if options.only in case and case not in known}
    detectors = {name: DETECTORS[name](bundle, data) for name, _ in cases}
    thresholds = {name: detection.calibrate(detector, data.calibration.pixels) for name, detector in detectors.items()}
    _tell(f"thresholds: {thresholds}")
    for moved, make in moved_data.items():
        wanted = [name for name in detectors if (name, moved) in cases]
        pixels = make() if wanted else None
        for name in wanted:
            assert pixels is not None
            rates = detection.count_alarms(detectors[name], thresholds[name], pixels, options.windows)
            record = detection.AlarmRecord(
                detector=name, data=moved, ground=options.ground, windows=options.windows, rates=rates
            )
            line = Line(
                command=detection.COMMAND,
                case=cases[name, moved],
                environment=Environment.current(),
                record=record.model_dump(),
            )
            results.add(line)
            _tell(f"{line.case}: " + ", ".join(f"{rate:.1%} of {rows} rows" for rows, rate in rates.items()))


def _alarm(options: argparse.Namespace, data: Mnist, results: Results) -> None:
    bundle = load_network(Store(options.store), data)
    moved = {
        f"{name} {level} ({corruption.strengths[level - 1]:g})": corruption.apply(data.live.pixels, level)
        for name, corruption in CORRUPTIONS.items()
        for level in (1, 3)
    }
    first, second = halves(data.test)
    moved |= {"other writers, first half of the test file": first.pixels}
    moved |= {"other writers, second half of the test file": second.pixels}
    record = alarms.measure(bundle, data, {detection.UNMOVED: data.live.pixels, **moved}, windows=options.windows)
    line = Line(command=alarms.COMMAND, case=alarms.CASE, environment=Environment.current(), record=record.model_dump())
    results.add(line)
    _tell(alarms_page.alarms_section(line))


def _write_pages(docs: Path, results: Results) -> int:
    missed: list[str] = []
    if results.of(recalibration.COMMAND):
        text, missed = recalibration_page.page(results)
        (docs / "recalibration-results.md").write_text(text)
    if results.of(detection.COMMAND):
        (docs / "drift-results.md").write_text(detection_page.page(results))
    for line in results.of(alarms.COMMAND).values():
        missed += alarms_page.missed(line)
    for sentence in missed:
        _tell(sentence)
    return 1 if missed else 0


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description="Measure what moved data does.")
    parser.add_argument("command", choices=[recalibration.COMMAND, detection.COMMAND, alarms.COMMAND, PAGE])
    for name, default, what in (
        ("--mnist", "data/mnist", "the folder of MNIST's four files"),
        ("--fashion", "data/fashion-mnist", "the folder of Fashion-MNIST's four files"),
        ("--store", "runs/drift/store", "where the network is kept"),
        ("--results", "runs/drift/results.jsonl", "where results are kept; what is there is not measured again"),
        ("--docs", "docs", "the folder to write the pages into"),
    ):
        parser.add_argument(name, type=Path, default=Path(default), metavar="PATH", help=what)
    parser.add_argument("--ground", choices=GROUNDS, default="black", help="what the images of `detection` stand on")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="measure the cases whose names contain it")
    parser.add_argument("--draws", type=int, default=3, help="how often to draw rows to recalibrate on")
    parser.add_argument("--windows", type=int, default=200, help="how many windows of each size to look at")
    return parser


if __name__ == "__main__":
    sys.exit(main())
