"""Two processes with half a batch each against one process with all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn import functional

from training.synchronized import SynchronizedBatchNorm

PROCESSES = 2
SHARES = (5, 3)
"""Rows of each process: merged moments are exact for shares of any size."""

TOLERANCE = 1e-6
"""Of values around 1. Sums of at most 8 x 36 products in float32, added up in another order."""


class Functional(nn.Module):
    """Normalizes by the function, with statistics of its own, as layers of other packages do."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(4))
        self.register_buffer("running_var", torch.ones(4))

    def forward(self, values: Tensor) -> Tensor:
        """Normalized values, rectified."""
        mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        return functional.relu(functional.batch_norm(values, mean, variance, training=self.training, momentum=0.2))


def network() -> nn.Module:
    """Every kind of layer that there is: of images and of features, without scale and shift, averaging all batches."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(2, 4, 3, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 1),
            nn.BatchNorm2d(4, affine=False, momentum=None),
            Functional(),
            nn.Flatten(),
            nn.Linear(4 * 36, 6),
            nn.BatchNorm1d(6, track_running_stats=False),
        )


def batches() -> Tensor:
    """Two batches ``(2, rows, 2, 8, 8)``, far from centred, and no two rows alike."""
    rows = torch.randn(2, sum(SHARES), 2, 8, 8, generator=torch.Generator().manual_seed(1))
    return rows * torch.arange(1.0, 9.0).view(8, 1, 1, 1) + 3.0


def pulls() -> Tensor:
    """A gradient for every output ``(2, rows, 6)``."""
    return torch.randn(2, sum(SHARES), 6, generator=torch.Generator().manual_seed(2))


def pass_through(fitted: nn.Module, rows: slice) -> dict[str, Tensor]:
    """Two batches forward and backward; the outputs of both, and all that they leave behind."""
    inputs = batches()[:, rows].clone().requires_grad_()
    outputs = torch.stack([fitted(batch) for batch in inputs])
    torch.autograd.backward(outputs, pulls()[:, rows])
    assert inputs.grad is not None
    found = {"outputs": outputs.detach(), "inputs.grad": inputs.grad}
    found |= {f"{name}.grad": p.grad for name, p in fitted.named_parameters() if p.grad is not None}
    return found | dict(fitted.named_buffers())


def halves() -> Tensor:
    """In 16 bits: one batch ``(rows, 4, 8, 8)``, ten deviations from centred, and a gradient for every output."""
    normal = torch.randn(2, sum(SHARES), 4, 8, 8, generator=torch.Generator().manual_seed(3))
    return (normal + torch.tensor([10.0, 0.1]).view(2, 1, 1, 1, 1)).bfloat16()


def pass_halves(rows: slice) -> dict[str, Tensor]:
    """The batch forward and backward through one layer, whose parameters have 32 bits."""
    layer, inputs = nn.BatchNorm2d(4), halves()[0, rows].requires_grad_()
    nn.init.constant_(layer.weight, 0.7)
    outputs = layer(inputs)
    outputs.backward(halves()[1, rows])
    assert inputs.grad is not None
    assert layer.weight.grad is not None
    return {"outputs": outputs.detach(), "inputs.grad": inputs.grad, "weight.grad": layer.weight.grad}


def run_process(rank: int, folder: str) -> None:
    """One process's part, left in a file."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=PROCESSES)
    first = sum(SHARES[:rank])
    with SynchronizedBatchNorm():
        rows = slice(first, first + SHARES[rank])
        found = pass_through(network(), rows)
        found |= {f"halves.{name}": tensor for name, tensor in pass_halves(rows).items()}
    torch.save(found, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("processes")
    spawn(run_process, (str(folder),), PROCESSES)  # type: ignore[no-untyped-call]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(PROCESSES)]


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    return pass_through(network(), slice(None))


@pytest.mark.parametrize("name", ["outputs", "inputs.grad"])
def test_rows_get_what_they_get_in_one_process(
    found: list[dict[str, Tensor]], expected: dict[str, Tensor], name: str
) -> None:
    together = torch.cat([part[name] for part in found], dim=1)

    torch.testing.assert_close(together, expected[name], rtol=0, atol=TOLERANCE)


def test_16_bits_are_computed_in_32_as_torch_does_it(found: list[dict[str, Tensor]]) -> None:
    expected = pass_halves(slice(None))

    for name in ("outputs", "inputs.grad"):
        together = torch.cat([part[f"halves.{name}"] for part in found])
        assert together.dtype == torch.bfloat16
        # where 32 bits differ by their last digit, what they are rounded to may differ by its own, 2^-8
        torch.testing.assert_close(together, expected[name], rtol=2**-7, atol=1e-6)
        assert (together != expected[name]).float().mean() < 0.001
    weight = found[0]["halves.weight.grad"] + found[1]["halves.weight.grad"]
    torch.testing.assert_close(weight, expected["weight.grad"], rtol=1e-5, atol=1e-3)


def test_gradients_of_parameters_add_up(found: list[dict[str, Tensor]], expected: dict[str, Tensor]) -> None:
    names = [name for name in expected if name.endswith(".grad") and name != "inputs.grad"]

    together = {name: found[0][name] + found[1][name] for name in names}

    assert len(names) == 9
    for name in names:
        torch.testing.assert_close(together[name], expected[name], rtol=1e-5, atol=1e-5)


def test_running_statistics_are_those_of_one_process(
    found: list[dict[str, Tensor]], expected: dict[str, Tensor]
) -> None:
    names = [name for name, _ in network().named_buffers()]

    for part in found:
        for name in names:
            torch.testing.assert_close(part[name], expected[name], rtol=TOLERANCE, atol=TOLERANCE)
    assert len(names) == 3 + 3 + 2


def test_all_processes_keep_the_same_statistics_to_the_bit(found: list[dict[str, Tensor]]) -> None:
    names = [name for name, _ in network().named_buffers()]

    assert all(torch.equal(found[0][name], found[1][name]) for name in names)


def test_in_inference_mode_no_other_process_is_asked() -> None:
    trained = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3), Functional()).eval()

    with SynchronizedBatchNorm():  # there is no process group here
        answers = trained(batches()[0])

    assert torch.equal(answers, trained(batches()[0]))
