import numpy as np
import pytest

from folding.errors import CalibrationError, RowsError
from folding.held_out import calibrate_bundle
from models.bundle import Bundle
from models.store import Store
from tests.drafts import INPUTS, draft, held_out, uncalibrated


@pytest.fixture
def bare(store: Store) -> Bundle:
    """A bundle that was published without held-out rows."""
    return store.publish(draft(observing=uncalibrated()))


def test_held_out_rows_give_the_calibration_that_an_export_with_them_has(bare: Bundle, store: Store) -> None:
    exported = store.publish(draft()).calibration()

    found = calibrate_bundle(bare, {"x": held_out()}).calibration

    assert exported is not None
    assert found is not None
    assert (found.rows, found.sizes) == (len(held_out()), exported.sizes)
    # both are quantiles of 20,000 windows, drawn anew: those of one in a thousand differ by a few hundredths
    assert found.thresholds == pytest.approx(exported.thresholds, abs=0.3)


def test_fewer_rows_than_two_windows_are_refused(bare: Bundle) -> None:
    rows = {"x": held_out()[:63]}

    with pytest.raises(CalibrationError, match="rows: expected at least 64 with finite values in 3 channels, got 63"):
        calibrate_bundle(bare, rows)


def test_a_bundle_without_layers_has_nothing_to_calibrate(store: Store) -> None:
    bundle = store.publish(draft(layers=(), normalization=()))

    with pytest.raises(CalibrationError, match="layers: expected a bundle with normalization layers to watch"):
        calibrate_bundle(bundle, {"x": held_out()})


@pytest.mark.parametrize(
    "rows",
    [{"y": held_out()}, {"x": held_out().astype(np.float64)}, {"x": np.zeros((100, INPUTS + 1), np.float32)}],
    ids=["another input", "another datatype", "another shape"],
)
def test_rows_that_the_graph_does_not_take_are_refused(bare: Bundle, rows: dict[str, np.ndarray]) -> None:
    with pytest.raises(RowsError, match=r"^rows: "):
        calibrate_bundle(bare, rows)
