"""This module writes the page of the detection study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from benchmarks.drift.corruptions import CORRUPTIONS
from benchmarks.drift.data import SHARES
from benchmarks.drift.detection import CALIBRATION_WINDOWS, COMMAND, FALSE_ALARMS, UNMOVED, WINDOW_ROWS, AlarmRecord
from benchmarks.drift.detection_text import READING, TITLE
from benchmarks.drift.detectors import DETECTORS
from benchmarks.folding.markdown import section, table
from benchmarks.folding.results import Results


def page(results: Results) -> str:
    """The page in Markdown."""
    lines = results.of(COMMAND)
    records = [AlarmRecord.model_validate(line.record) for line in lines.values()]
    by_data: dict[str, dict[str, AlarmRecord]] = {}
    for record in records:
        by_data.setdefault(record.data, {})[record.detector] = record
    names = [name for name in DETECTORS if any(name in found for found in by_data.values())]
    tables = [_window_table(rows, names, by_data) for rows in WINDOW_ROWS]
    reading = READING.format(
        share=FALSE_ALARMS,
        calibration=CALIBRATION_WINDOWS,
        windows=records[0].windows,
        error=0.5 / records[0].windows ** 0.5,
        unmoved=UNMOVED,
        reference=f"{SHARES['reference']:.0%}",
    )
    body = "\n".join([_summary(names, by_data), *tables, reading])
    command = f"python -m benchmarks.drift {COMMAND} --mnist FOLDER --fashion FOLDER"
    return f"{TITLE}\n{section('MNIST, moved', command, (line.environment for line in lines.values()), body)}"


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
