"""This module writes what the page of the detection study says of the service's own alarms."""

from __future__ import annotations

from statistics import fmean

from benchmarks.drift.alarms import COMMAND, NAMING_RATE, AlarmsRecord
from benchmarks.folding.markdown import section, table
from benchmarks.folding.results import Line

TITLE = "The service's own alarms"

BOUNDS = (0.3, 3.0)
"""Of the stated rate: where the measured one has to be, on the average of the calibrations."""


def alarms_section(line: Line) -> str:
    """The section in Markdown."""
    record = AlarmsRecord.model_validate(line.record)
    command = f"python -m benchmarks.drift {COMMAND} --windows {record.windows} --mnist FOLDER"
    body = f"{_false_alarms(record)}\n{_first_layers(record)}"
    return section(TITLE, command, [line.environment], body)


def missed(line: Line) -> list[str]:
    """A sentence for each rate that is out of bounds."""
    record = AlarmsRecord.model_validate(line.record)
    return [
        f"{rows} rows: {fmean(shares):.2%} of windows alarmed where {rate:.2%} was stated"
        for rows, by_rate in record.false_alarms.items()
        for rate, shares in by_rate.items()
        if not BOUNDS[0] * rate <= fmean(shares) <= BOUNDS[1] * rate
    ]


def _false_alarms(record: AlarmsRecord) -> str:
    rows = [
        [
            str(size),
            f"{rate:.1%}",
            f"{fmean(shares):.2%}",
            f"{fmean(shares) / rate:.2f}",
            ", ".join(f"{share:.2%}" for share in shares),
        ]
        for size, by_rate in record.false_alarms.items()
        for rate, shares in by_rate.items()
    ]
    count = len(next(iter(next(iter(record.false_alarms.values())).values())))
    header = ["rows of a window", "stated", "measured", "measured / stated", "of each calibration"]
    return (
        f"Nothing has moved here: {record.windows:,} windows of each size of rows that neither the network nor a "
        f"calibration has seen, for each of {count} calibrations by {record.calibration_rows:,} rows. A single one is "
        f"off by what its rows are off, which windows share.\n\n{table(header, rows)}"
    )


def _first_layers(record: AlarmsRecord) -> str:
    layers = list(next(iter(record.first_layers.values())))
    rows = [
        [data, *(f"{100 * by_layer[layer]:.0f}" for layer in layers)] for data, by_layer in record.first_layers.items()
    ]
    return (
        f"Which layer an alarm names as the first, as data meets them: share of windows of {record.naming_rows} rows, "
        f"at a rate of {NAMING_RATE:.0%}.\n\n{table(['first layer, %', *layers], rows)}"
    )
