from pathlib import Path

import lightning
import pytest
import torch
from torch import Tensor, nn

from tests.training.blobs import CLASSES, FEATURES, network, recipe, splits
from tests.training.lightning_runs import CheckpointAt, run
from training.data import Rows
from training.divergence import Divergence
from training.errors import DivergenceError
from training.fit import fit

pytestmark = pytest.mark.filterwarnings("ignore:.*(does not have many workers|LeafSpec).*")


class Overflowing(nn.Module):
    """A network of two normalizations, of which the second takes infinity from the fourth step on."""

    def __init__(self, *, normalized: bool = True) -> None:
        super().__init__()
        self.last = nn.BatchNorm1d(8) if normalized else nn.Identity()  # declared first, used last
        self.first = nn.BatchNorm1d(FEATURES) if normalized else nn.Identity()
        self.hidden = nn.Linear(FEATURES, 8)
        self.classifier = nn.Linear(8, CLASSES)
        self.calls = 0

    def forward(self, values: Tensor) -> Tensor:
        """Logits, of infinities in the end."""
        hidden = self.hidden(self.first(values))
        if self.training:
            self.calls += 1
        if self.calls >= 4:
            hidden = hidden * 1e38 * 1e38
        logits: Tensor = self.classifier(self.last(hidden))
        return logits


def test_a_loss_that_is_no_number_ends_the_fit_at_its_step() -> None:
    with pytest.raises(DivergenceError) as end:
        fit(Overflowing(), splits(), recipe(schedule="constant"))

    assert str(end.value).startswith("epoch 2, step 4: expected a finite loss, got nan at a learning rate of 0.05; ")


def test_the_first_layer_that_blew_up_is_named_with_its_figures_of_before() -> None:
    with pytest.raises(DivergenceError) as end:
        fit(Overflowing(), splits(), recipe())

    told = str(end.value).partition("; ")[2]
    assert told.startswith("last is the first layer whose statistics are not finite, after a largest mean of ")
    figures = [float(word) for word in told.split() if word[0].isdigit()]
    assert len(figures) == 2
    assert all(0 < figure < 10 for figure in figures)


def test_layers_are_told_in_the_order_of_the_forward_pass() -> None:
    """A row that is infinite reaches both layers, and `first` before `last`, though it is declared behind it."""
    data = splits()
    assert isinstance(data.train, Rows)
    data.train.values[:, 0] = torch.inf

    with pytest.raises(DivergenceError, match=r"; first is the first layer whose statistics are not finite$"):
        fit(Overflowing(), data, recipe())


def test_a_loss_may_overflow_behind_every_layer() -> None:
    mlp = network()
    mlp.classifier.weight.data.fill_(3e38)

    with pytest.raises(DivergenceError, match=r"all statistics are finite; the largest variance is \S+, of hidden\.1"):
        fit(mlp, splits(), recipe())


def test_a_network_without_normalization_diverges_with_a_sentence_too() -> None:
    with pytest.raises(DivergenceError, match="no normalization layer keeps statistics"):
        fit(Overflowing(normalized=False), splits(), recipe())


def test_no_checkpoint_is_written_of_a_loss_that_is_no_number(tmp_path: Path) -> None:
    network = Overflowing()

    with pytest.raises(DivergenceError, match="expected a finite loss"):
        run(network, recipe(), [Divergence(network), CheckpointAt(4, tmp_path / "kept.ckpt")])

    assert not (tmp_path / "kept.ckpt").exists()


def test_no_checkpoint_is_written_of_parameters_that_are_not_finite(tmp_path: Path) -> None:
    mlp = network()

    class Breaking(lightning.Callback):
        def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
            if trainer.global_step == 2:
                mlp.classifier.bias.data[0] = torch.inf

    with pytest.raises(
        DivergenceError, match=r"^classifier\.bias: expected finite values before a checkpoint, got inf$"
    ):
        run(mlp, recipe(), [Divergence(mlp), Breaking(), CheckpointAt(2, tmp_path / "kept.ckpt")])

    assert not (tmp_path / "kept.ckpt").exists()
