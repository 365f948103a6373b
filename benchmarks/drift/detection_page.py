"""This module writes the page of the detection study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from benchmarks.drift import alarms
from benchmarks.drift.alarms_page import alarms_section
from benchmarks.drift.corruptions import CORRUPTIONS
from benchmarks.drift.data import SHARES
from benchmarks.drift.detection import CALIBRATION_WINDOWS, COMMAND, FALSE_ALARMS, UNMOVED, WINDOW_ROWS, AlarmRecord
from benchmarks.drift.detection_text import READING, TITLE
from benchmarks.drift.detectors import DETECTORS
from benchmarks.drift.grounds import GROUNDS
from benchmarks.folding.markdown import section, table
from benchmarks.folding.results import Line, Results


def page(results: Results) -> str:
    """The page in Markdown, a section for each ground that there are results of."""
    lines = [(line, AlarmRecord.model_validate(line.record)) for line in results.of(COMMAND).values()]
    windows = lines[0][1].windows
    reading = READING.format(
        share=FALSE_ALARMS,
        calibration=CALIBRATION_WINDOWS,
        windows=windows,
        error=0.5 / windows**0.5,
        unmoved=UNMOVED,
        reference=SHARES["reference"],
    )
    of_grounds = {name: [(line, record) for line, record in lines if record.ground == name] for name in GROUNDS}
    own = [alarms_section(line) for line in results.of(alarms.COMMAND).values()]
    return "\n".join([TITLE, *own, *(_section(name, found) for name, found in of_grounds.items() if found), reading])


def _section(ground: str, lines: Sequence[tuple[Line, AlarmRecord]]) -> str:
    by_data: dict[str, dict[str, AlarmRecord]] = {}
    for _, record in lines:
        by_data.setdefault(record.data, {})[record.detector] = record
    names = [name for name in DETECTORS if any(name in found for found in by_data.values())]
    tables = [_window_table(rows, names, by_data) for rows in WINDOW_ROWS]
    command = f"python -m benchmarks.drift {COMMAND} --ground {ground} --mnist FOLDER --fashion FOLDER"
    title = f"MNIST on a {ground} ground"
    return section(
        title, command, (line.environment for line, _ in lines), "\n".join([_summary(names, by_data), *tables])
    )


def _summary(names: Sequence[str], by_data: Mapping[str, Mapping[str, AlarmRecord]]) -> str:
    """Averaged over strengths and sizes of windows."""
    corrupted = {data: found for data, found in by_data.items() if data.partition(" ")[0] in CORRUPTIONS}
    groups = {name: [found for data, found in corrupted.items() if data.startswith(f"{name} ")] for name in CORRUPTIONS}
    groups["**all corruptions**"] = list(corrupted.values())
    groups["the mildest of each"] = [found for data, found in corrupted.items() if data.split(" ")[1] == "1"]
    rows = [[name, *(_mean_rate(detector, group) for detector in names)] for name, group in groups.items() if group]
    return f"### On the average\n\nOver strengths and sizes of windows.\n\n{table(['alarms, %', *names], rows)}"


def _window_table(rows: int, names: Sequence[str], by_data: Mapping[str, Mapping[str, AlarmRecord]]) -> str:
    cells = [
        [data, *(_percent(found[name].rates[rows]) if name in found else "" for name in names)]
        for data, found in by_data.items()
    ]
    return f"### Windows of {rows} rows\n\n{table(['alarms, %', *names], cells)}"


def _mean_rate(detector: str, group: Iterable[Mapping[str, AlarmRecord]]) -> str:
    rates = [rate for found in group if detector in found for rate in found[detector].rates.values()]
    return _percent(fmean(rates)) if rates else ""


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
