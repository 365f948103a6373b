import pytest
import torch

from training.studies.input_shift import median_range, percentiles, width_ratio


def test_percentiles_of_a_known_distribution() -> None:
    inputs = torch.stack([torch.arange(101.0), -2 * torch.arange(101.0)], dim=1)

    found = percentiles(inputs)

    torch.testing.assert_close(found, torch.tensor([[15.0, -170.0], [50.0, -100.0], [85.0, -30.0]]))


def test_a_distribution_that_stays_has_moved_by_nothing() -> None:
    stays = torch.tensor([[-1.0], [0.0], [1.0]]).expand(5, 3, 4)

    assert (median_range(stays), width_ratio(stays)) == (0, 1)


def test_a_distribution_that_moves_and_widens_is_measured_by_its_width() -> None:
    moves = torch.tensor([[[-1.0], [0.0], [1.0]], [[0.0], [6.0], [8.0]], [[1.0], [3.0], [5.0]]])  # widths 2, 8, 4

    assert median_range(moves) == pytest.approx(6 / (14 / 3))
    assert width_ratio(moves) == pytest.approx(4)
