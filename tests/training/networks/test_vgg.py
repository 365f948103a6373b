import pytest
import torch

from training.networks.vgg import VGG


@pytest.mark.parametrize("size", [32, 48, 100])
def test_an_average_head_takes_images_of_any_size_that_five_halvings_leave_something_of(size: int) -> None:
    network = VGG(11, num_classes=7, width=0.05).eval()

    logits = network(torch.zeros(1, 3, size, size + 8))

    assert logits.shape == (1, 7)


def test_a_classic_head_takes_images_of_224x224() -> None:
    network = VGG(11, num_classes=7, head="classic", width=0.02).eval()

    logits = network(torch.zeros(1, 3, 224, 224))

    assert logits.shape == (1, 7)


@pytest.mark.parametrize(("training", "agree"), [(True, False), (False, True)])
def test_a_classic_head_drops_out_in_training_alone(*, training: bool, agree: bool) -> None:
    network = VGG(11, head="classic", width=0.1).train(training)
    features = torch.ones(1, 51, 7, 7)

    first, second = network.head(features), network.head(features)

    assert torch.equal(first, second) is agree


def test_a_classic_head_takes_no_other_size() -> None:
    network = VGG(11, head="classic", width=0.02).eval()

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        network(torch.zeros(1, 3, 192, 192))


def test_each_stage_halves_height_and_width() -> None:
    network = VGG(13, width=0.05).eval()

    features = network.features(torch.zeros(1, 3, 96, 64))

    assert features.shape[2:] == (3, 2)


def test_an_unknown_depth_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"^depth: expected one of 11, 13, 16, 19, got 12$"):
        VGG(12)


def test_an_unknown_head_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"^head: expected one of average, classic, got 'linear'$"):
        VGG(11, head="linear", width=0.05)
