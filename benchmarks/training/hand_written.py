"""This module is a fit as a good engineer writes it in plain torch for one recipe, with nothing around it.

It does what a fit does: the same batches, augmented alike, the same fused optimizer and schedule, and after every epoch
the loss, the validation loss and the accuracy, read once.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from training.data import Splits
from training.data.batches import Batches, ShuffledBatches
from training.fit import VALIDATION_BATCHES
from training.recipe import Recipe


def fit_by_hand(network: nn.Module, data: Splits, recipe: Recipe) -> list[tuple[float, float, float]]:
    """Fit a network in place.

    Returns:
        Of every epoch, the mean loss of its steps, the validation loss and the validation accuracy.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    batches = ShuffledBatches(data.train, recipe.batch_rows, seed=recipe.seed, augment=recipe.augment)
    validation = Batches(data.validation, VALIDATION_BATCHES * recipe.batch_rows)
    optimizer = _optimizer(network, recipe)
    schedule = OneCycleLR(optimizer, recipe.learning_rate, total_steps=recipe.epochs * len(batches))
    epochs = []
    for _ in range(recipe.epochs):
        network.train()
        train_loss = torch.zeros((), device=device)
        for values, labels in batches:
            optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(network(values.to(device)), labels.to(device))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            train_loss += loss.detach()
        network.eval()
        validation_loss, right = torch.zeros((), device=device), torch.zeros((), device=device)
        with torch.inference_mode():
            for values, labels in validation:
                logits, expected = network(values.to(device)), labels.to(device)
                validation_loss += functional.cross_entropy(logits, expected, reduction="sum")
                right += (logits.argmax(dim=1) == expected).sum()
        rows = len(data.validation)
        epochs.append((float(train_loss) / len(batches), float(validation_loss) / rows, float(right) / rows))
    network.cpu()
    return epochs


def _optimizer(network: nn.Module, recipe: Recipe) -> Optimizer:
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=True, fused=True)
    return AdamW(groups, lr=recipe.learning_rate, fused=True)
