import pytest
import torch
from torch import Tensor, nn

from tests.training.blobs import network, recipe, splits
from training.determinism import deterministic_kernels, fills_memory
from training.errors import RecipeError
from training.fit import fit


class ByChance(nn.Module):
    """A network with an operator whose result may depend on chance, on any device."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()

    def forward(self, values: Tensor) -> Tensor:
        """Logits, written to their places one by one."""
        logits: Tensor = self.network(values)
        places = torch.arange(logits.numel(), device=logits.device)
        return torch.zeros_like(logits).put_(places, logits.flatten())


def test_an_operator_without_a_deterministic_kernel_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match=r"^network: expected operators that give the same numbers .*, got put_"):
        fit(ByChance(), splits(), recipe())


def test_torch_is_as_before_after_the_block() -> None:
    before = torch.are_deterministic_algorithms_enabled(), fills_memory()

    with deterministic_kernels():
        within = torch.are_deterministic_algorithms_enabled(), fills_memory()

    assert within == (True, False)
    assert (torch.are_deterministic_algorithms_enabled(), fills_memory()) == before


def test_other_errors_come_through() -> None:
    with pytest.raises(RuntimeError, match="of something else"), deterministic_kernels():
        raise RuntimeError("of something else")
