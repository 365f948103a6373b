"""These tests look at what the study of the service's own alarms says, of the committed digits network."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.drift.alarms import CALIBRATIONS, NO_LAYER, RATES, AlarmsRecord, measure
from benchmarks.drift.alarms_page import alarms_section, missed
from benchmarks.drift.data import load_mnist
from benchmarks.drift.detection import WINDOW_ROWS
from benchmarks.folding.results import Environment, Line
from models.bundle import Bundle
from tests.benchmarks.drift.blobs import write_blobs
from tests.committed import DIGITS


def line(record: AlarmsRecord) -> Line:
    """A line of results."""
    return Line(command="alarms", case="alarms", environment=Environment.current(), record=record.model_dump())


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> AlarmsRecord:
    """Blobs of light, which the digits network takes as well as digits; as they are, and half as bright again."""
    folder: Path = write_blobs(tmp_path_factory.mktemp("alarms") / "blobs")
    data = load_mnist(folder)
    moved = {"not moved": data.live.pixels, "brighter": data.live.pixels * 1.5}
    return measure(Bundle.open(DIGITS), data, moved, windows=40)


def test_every_calibration_is_shown_windows_of_every_size(record: AlarmsRecord) -> None:
    assert {rows: list(by_rate) for rows, by_rate in record.false_alarms.items()} == {
        rows: list(RATES) for rows in WINDOW_ROWS
    }
    assert {len(shares) for by_rate in record.false_alarms.values() for shares in by_rate.values()} == {CALIBRATIONS}


def test_what_is_done_to_the_input_is_named_by_the_first_layer(record: AlarmsRecord) -> None:
    assert record.first_layers["brighter"]["features.1"] == 1.0
    assert record.first_layers["not moved"][NO_LAYER] > 0.5


def test_the_page_has_a_row_for_each_rate_and_each_data_set(record: AlarmsRecord) -> None:
    text = alarms_section(line(record))

    assert all(f"| {rows} | {rate:.1%} |" in text for rows in WINDOW_ROWS for rate in RATES)
    assert "| brighter | 100 |" in text


def test_a_rate_out_of_bounds_is_told() -> None:
    rates = {32: {0.01: [0.001, 0.002]}, 128: {0.01: [0.02, 0.03]}}
    found = AlarmsRecord(windows=100, calibration_rows=100, false_alarms=rates, first_layers={}, naming_rows=128)

    assert missed(line(found)) == ["32 rows: 0.15% of windows alarmed where 1.00% was stated"]
