import pytest
import torch

from training.networks.convolution import convolution, scale


@pytest.mark.parametrize(
    ("channels", "width", "multiple", "scaled"),
    [
        (64, 1.0, 1, 64),
        (64, 0.1, 1, 6),
        (3, 0.01, 1, 1),
        (32, 0.75, 8, 24),
        (24, 0.75, 8, 24),  # the nearest multiple, 16, is less than 90 % of 18
        (16, 0.25, 8, 8),
        (96, 1.4, 8, 136),
    ],
)
def test_channels_are_scaled_to_a_multiple_that_is_not_much_less(
    channels: int, width: float, multiple: int, scaled: int
) -> None:
    found = scale(channels, width, multiple=multiple)

    assert found == scaled


def test_weights_start_with_a_variance_of_2_over_the_values_that_an_output_sums() -> None:
    torch.manual_seed(0)

    layer = convolution(256, 256, 3, groups=2)

    # of n independent normal values it is off by sqrt(2 / n) of itself, here by 0.26 %
    assert float(layer.weight.detach().var()) == pytest.approx(2 / (128 * 3 * 3), rel=0.01)


@pytest.mark.parametrize(("size", "stride", "after"), [(1, 1, 9), (3, 1, 9), (3, 2, 5), (7, 2, 5)])
def test_an_image_shrinks_by_the_stride_alone(size: int, stride: int, after: int) -> None:
    layer = convolution(1, 1, size, stride=stride)

    assert layer(torch.zeros(1, 1, 9, 9)).shape == (1, 1, after, after)
