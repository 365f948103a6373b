import numpy as np
import pytest

from training.studies.dots import draw_dots
from training.studies.plots import BLUE, panels


def test_every_name_has_a_line_and_a_dot_at_its_mean() -> None:
    _, (axis,) = panels(1)

    draw_dots(axis, {"one": [1.0, 3.0], "other": [], "last": [5.0]}, name="here", colour=BLUE)

    assert [text.get_text() for text in axis.get_yticklabels()] == ["one", "other", "last"]
    dots = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axis.lines]  # type: ignore[index,arg-type]
    assert dots == [(2, 0), (5, 2)]


def test_the_interval_of_the_mean_is_drawn_through_the_dot() -> None:
    _, (axis,) = panels(1)

    draw_dots(axis, {"one": [1.0, 3.0]}, name="", colour=BLUE)

    (path,) = axis.collections[0].get_paths()
    low, high = np.asarray(path.vertices)[:, 0]
    # Student's quantile for one degree of freedom, 12.706, times sqrt(2) / sqrt(2)
    assert (low, high) == pytest.approx((2 - 12.706, 2 + 12.706), abs=0.01)
