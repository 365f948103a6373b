import pytest
import torch
from torch import nn

from tests.training.blobs import network, recipe, splits, state
from training.errors import RecipeError
from training.fit import fit
from training.precision import trainer_precision


class Kinds(nn.Module):
    """A network that remembers what type its logits had."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()
        self.kinds: set[torch.dtype] = set()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits: torch.Tensor = self.network(values)
        self.kinds.add(logits.dtype)
        return logits


@pytest.mark.parametrize(("precision", "kind"), [("32", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_a_network_computes_in_what_the_recipe_says(precision: str, kind: torch.dtype) -> None:
    watched = Kinds()

    figures = fit(watched, splits(), recipe(epochs=4, precision=precision))

    assert watched.kinds == {kind}
    assert figures.validation_accuracy > 0.9


def test_parameters_and_statistics_stay_in_32_bits() -> None:
    mlp = network()

    fit(mlp, splits(), recipe(precision="bf16-mixed", max_gradient_norm=1.0))

    assert {tensor.dtype for tensor in state(mlp).values()} == {torch.float32, torch.int64}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_16_bits_are_refused_without_a_gpu() -> None:
    with pytest.raises(RecipeError) as refusal:
        trainer_precision(recipe(precision="16-mixed"))

    assert str(refusal.value) == (
        "precision: expected 32 or bf16-mixed on a machine without a CUDA GPU, got '16-mixed'"
    )
