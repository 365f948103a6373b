"""This module writes the page of the detection study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from benchmarks.drift.corruptions import CORRUPTIONS
from benchmarks.drift.data import SHARES
from benchmarks.drift.detection import CALIBRATION_WINDOWS, COMMAND, FALSE_ALARMS, UNMOVED, WINDOW_ROWS, AlarmRecord
from benchmarks.drift.detectors import DETECTORS
from benchmarks.folding.markdown import section, table
from benchmarks.folding.results import Results

_TITLE = """# Drift, detected

How often detectors notice that data has moved, at the same rate of false alarms. The network is a ConvNet of four
convolutions, fitted to MNIST; the data is MNIST rows that it was not fitted to, corrupted more and more, and others.
"""

_READING = """### How to read it

A detector gives every window of rows a score, and raises an alarm where that is above a threshold. It is calibrated:
{share:.0%} of {calibration:,} windows of held-out rows that have not moved are above it. So no detector is judged by
its scale, nor by what its p-values take for granted. A rate is the share of {windows} windows of other held-out rows
that raise an alarm, the same windows for all detectors; it is off by up to {error:.1%}, standard error. The row
`{unmoved}` is the rate of false alarms that a detector really has there, where {share:.0%} were asked for. The larger
the windows, the less the two need agree: thresholds are set on some thousand rows, of which the windows overlap.

- **KS** compares each feature's distribution with the reference's by the Kolmogorov-Smirnov statistic, and the largest
  decides: `KSDrift` of alibi-detect, with the threshold calibrated instead of Bonferroni's.
- **MMD** compares all features at once by the kernel `exp(-|x - y|^2 / m)`, where `m` is the median of squared
  distances: `MMDDrift` of alibi-detect, with the threshold calibrated instead of found by permutations.
- **inputs** are the 784 pixels; **hidden** is what the network's last layer takes, after the average over the image.

Both detectors keep the same {reference} of MNIST's training file as their reference. The network saw none of these
rows, nor of those that thresholds are set on or that are looked at.

"""


def page(results: Results) -> str:
    """The page in Markdown."""
    lines = results.of(COMMAND)
    records = [AlarmRecord.model_validate(line.record) for line in lines.values()]
    by_data: dict[str, dict[str, AlarmRecord]] = {}
    for record in records:
        by_data.setdefault(record.data, {})[record.detector] = record
    names = [name for name in DETECTORS if any(name in found for found in by_data.values())]
    tables = [_window_table(rows, names, by_data) for rows in WINDOW_ROWS]
    reading = _READING.format(
        share=FALSE_ALARMS,
        calibration=CALIBRATION_WINDOWS,
        windows=records[0].windows,
        error=0.5 / records[0].windows ** 0.5,
        unmoved=UNMOVED,
        reference=f"{SHARES['reference']:.0%}",
    )
    body = "\n".join([_summary(names, by_data), *tables, reading])
    command = f"python -m benchmarks.drift {COMMAND} --mnist FOLDER --fashion FOLDER"
    return f"{_TITLE}\n{section('MNIST, moved', command, (line.environment for line in lines.values()), body)}"


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
