import re
from itertools import pairwise
from pathlib import Path

import pytest

from training.studies.plots import BLUE, ORANGE, draw_seeds, label, panels, save_svg, scale_by_logarithm


def test_a_plot_is_the_same_file_every_time_without_a_date(tmp_path: Path) -> None:
    contents = []

    for number in range(2):
        figure, (left, _) = panels(2)
        draw_seeds(left, [1, 2, 3], [[1, 2, 3], [2, 2, 4]], name="with", colour=BLUE)
        label(left, "Accuracy", "step", "accuracy, %")
        save_svg(figure, tmp_path / f"{number}.svg")
        contents.append((tmp_path / f"{number}.svg").read_text())

    assert contents[0] == contents[1]
    assert "dc:date" not in contents[0]
    assert all(f">{word}</text>" in contents[0] for word in ("Accuracy", "step", "accuracy, %", "with"))


def test_names_of_lines_that_end_at_one_point_are_written_apart(tmp_path: Path) -> None:
    figure, (axis,) = panels(1)
    for name in ("with", "without", "neither"):
        draw_seeds(axis, [1, 2], [[1, 5], [2, 5]], name=name, colour=ORANGE)

    save_svg(figure, tmp_path / "some.svg")

    written = (tmp_path / "some.svg").read_text()
    heights = sorted(float(y) for y in re.findall(r' y="([\d.]+)"[^>]*>(?:with|without|neither)</text>', written))
    assert [second - first for first, second in pairwise(heights)] == pytest.approx([10, 10])


def test_a_logarithmic_band_stays_above_zero_and_decades_are_written_out(tmp_path: Path) -> None:
    figure, (axis,) = panels(1)
    draw_seeds(axis, [1, 2], [[0.01, 100], [0.04, 400]], name="with", colour=BLUE, logarithmic=True)
    scale_by_logarithm(axis, y=True)
    axis.set_ylim(0.001, 1000)

    save_svg(figure, tmp_path / "some.svg")

    assert axis.lines[0].get_ydata() == pytest.approx([0.02, 200])
    assert axis.dataLim.ymin > 0
    assert ">0.01</text>" in (tmp_path / "some.svg").read_text()
