from pathlib import Path

import pytest
import torch

from tests.training.blobs import STEPS, network, recipe, splits, state
from tests.training.lightning_runs import CheckpointAt, Trajectory, run, same
from training.averaging import MovingAverage
from training.fit import fit

pytestmark = pytest.mark.filterwarnings("ignore:.*(does not have many workers|LeafSpec|not resumable).*")


def test_weights_and_statistics_are_averaged_after_every_step() -> None:
    mlp = network()
    expected, trajectory = state(mlp), Trajectory(mlp)

    run(mlp, recipe(), [trajectory, MovingAverage(mlp, 0.4)])

    for step, after in enumerate(trajectory.steps, start=1):
        decay = min(0.4, (1 + step) / (10 + step))
        expected = {name: decay * expected[name] + (1 - decay) * tensor for name, tensor in after.items()}
    expected["hidden.1.num_batches_tracked"] = torch.tensor(2 * STEPS)  # no average of whole numbers
    found = state(mlp)
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6)  # six roundings in float32


def test_the_start_is_forgotten_at_any_decay() -> None:
    """Of what the network started from, (10! 11!) / 20! is left after 10 steps, less than 1e-4."""
    mlp = network()
    mlp.classifier.bias.data.fill_(1e6)
    trajectory = Trajectory(mlp)

    run(mlp, recipe(epochs=4, learning_rate=1e-9), [MovingAverage(mlp, 0.999999), _Zeroed(mlp), trajectory])

    assert len(trajectory.steps) == 12
    assert float(mlp.classifier.bias.detach().abs().max()) < 1e6 * 1e-4


class _Zeroed(Trajectory):
    """Sets the bias to 0 when the average has begun with what it was."""

    def on_train_batch_start(self, *_: object) -> None:
        parameters = dict(self.network.named_parameters())
        parameters["classifier.bias"].data.zero_()


def test_the_average_is_what_is_validated_and_the_steps_go_on_without_it() -> None:
    mlp, plain = network(), network()
    averaged, alone = Trajectory(mlp), Trajectory(plain)

    run(mlp, recipe(), [averaged, MovingAverage(mlp, 0.9)])
    run(plain, recipe(), [alone])

    for one, other in zip(averaged.steps, alone.steps, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert all(torch.equal(averaged.validated[-1][name], tensor) for name, tensor in state(mlp).items())
    assert not torch.equal(averaged.validated[-1]["classifier.weight"], alone.validated[-1]["classifier.weight"])


@pytest.mark.parametrize("step", [2, 4])
def test_an_average_goes_on_from_a_checkpoint_with_the_same_numbers(tmp_path: Path, step: int) -> None:
    checkpoint = tmp_path / "kept.ckpt"
    whole, resumed = network(), network()
    run(whole, recipe(), [MovingAverage(whole, 0.8), CheckpointAt(step, checkpoint)])

    run(resumed, recipe(), [MovingAverage(resumed, 0.8)], resume=(checkpoint, step))

    assert same(resumed, whole)


def test_a_fit_leaves_the_average() -> None:
    mlp, plain = network(), network()

    fit(mlp, splits(), recipe(average_decay=0.9))
    fit(plain, splits(), recipe())

    left, last = state(mlp), state(plain)
    assert not torch.equal(left["classifier.weight"], last["classifier.weight"])
    assert not torch.equal(left["hidden.1.running_mean"], last["hidden.1.running_mean"])
    assert torch.equal(left["hidden.1.num_batches_tracked"], last["hidden.1.num_batches_tracked"])
