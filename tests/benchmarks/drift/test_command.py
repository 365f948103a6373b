from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.drift.__main__ import main
from tests.benchmarks.drift.blobs import write_blobs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both studies were run on a small data set, each on a corruption, and the pages written."""
    root = tmp_path_factory.mktemp("drift")
    places = [
        *("--mnist", str(write_blobs(root / "blobs"))),
        *("--fashion", str(write_blobs(root / "fashion", train_rows=1, test_rows=600))),
        *("--store", str(root / "store")),
        *("--results", str(root / "results.jsonl")),
        *("--docs", str(root)),
    ]
    main(["recalibration", "--only", "noise/5", "--draws", "1", *places])
    main(["detection", "--only", "KS inputs: noise 5", "--windows", "20", *places])
    main(["detection", "--only", "KS inputs: Fashion", "--windows", "20", *places])
    main(["page", *places])
    return root


def test_a_study_is_run_from_the_command_line(folder: Path) -> None:
    """The network is fitted, published, recalibrated and judged, and the page says what came of it."""
    page = (folder / "recalibration-results.md").read_text()

    assert [path.name for path in (folder / "store").iterdir()] == ["mnist"]
    assert "| noise 5 (0.4) |" in page


def test_detectors_are_compared_from_the_command_line(folder: Path) -> None:
    """Noise of two fifths of what pixels can be is noticed in every window."""
    page = (folder / "drift-results.md").read_text()

    assert page.count("| noise 5 (0.4) | 100.0 |") == 3


def test_what_was_measured_is_kept_a_line_each(folder: Path) -> None:
    """A study that is broken off goes on where it was."""
    lines = (folder / "results.jsonl").read_text().splitlines()

    assert len(lines) == 3
