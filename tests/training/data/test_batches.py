from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from training.data import Rows, Splits
from training.data.augmentation import Augmentation
from training.data.batches import Batches, ShuffledBatches, read_all
from training.data.digits import Digits


@pytest.fixture(scope="module")
def splits() -> Splits:
    return Digits().load()


def numbered_rows(count: int) -> Rows:
    """Images of 3x4 pixels, none of them 0, that can be told apart; the label is the row's number."""
    return Rows(1.0 + torch.arange(count * 12.0).reshape(count, 1, 3, 4), torch.arange(count))


def moves(image: Tensor, reach: int) -> list[Tensor]:
    """An image ``(1, height, width)`` moved by every offset up to ``reach``, zeros coming in."""
    _, height, width = image.shape
    padded = functional.pad(image, (reach, reach, reach, reach))
    offsets = product(range(2 * reach + 1), repeat=2)
    return [padded[:, down : down + height, right : right + width] for down, right in offsets]


def test_digits_are_rows_as_scikit_learn_gives_them(splits: Splits) -> None:
    raw = load_digits()

    parts = (splits.train, splits.validation, splits.test)

    found = Counter(
        (v.numpy().tobytes(), int(y)) for part in parts for v, y in zip(read_all(part), part.labels, strict=True)
    )
    assert found == Counter(
        (i.astype(np.float32).tobytes(), int(y)) for i, y in zip(raw.images, raw.target, strict=True)
    )
    assert splits.labels == tuple("0123456789")


def test_digits_are_float32_images_of_whole_numbers(splits: Splits) -> None:
    values = read_all(splits.train)

    whole = values.round()

    assert (values.shape, values.dtype) == ((1200, 1, 8, 8), torch.float32)
    assert torch.equal(values, whole)
    assert (float(values.min()), float(values.max())) == (0.0, 16.0)


def test_every_class_is_in_every_split(splits: Splits) -> None:
    parts = (splits.train, splits.validation, splits.test)

    shares = [torch.bincount(part.labels, minlength=10) / len(part) for part in parts]

    # stratified: a class may be one row more or less in a split of 297
    assert all((abs(share - shares[0]) < 1.5 / 297).all() for share in shares)


def test_the_split_is_the_one_that_published_accuracies_are_of(splits: Splits) -> None:
    record = splits.record()

    assert record.rows == {"train": 1200, "validation": 297, "test": 300}
    # golden: when it changes, no accuracy can be compared with an older one
    assert record.sha256 == "ce0ad36a054d2b2d2792045c6c95c4ecad45a2d76ba0776a29e5b59b78519318"


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("field", ["values", "labels"])
def test_the_hash_is_of_every_value_and_label(split: str, field: str) -> None:
    parts = {name: numbered_rows(5) for name in ("train", "validation", "test")}
    data = Splits("numbers", ("a",), parts["train"], parts["validation"], parts["test"])
    before = data.record()

    getattr(parts[split], field).view(-1)[-1] += 1

    assert data.record().sha256 != before.sha256


@given(st.integers(1, 40), st.integers(1, 50))
def test_batches_are_all_rows_in_their_order(count: int, batch_rows: int) -> None:
    rows = numbered_rows(count)
    batches = Batches(rows, batch_rows)

    cut = list(batches)

    assert torch.equal(torch.cat([values for values, _ in cut]), rows.values)
    assert torch.equal(torch.cat([labels for _, labels in cut]), rows.labels)
    assert len(cut) == len(batches)
    assert {len(labels) for _, labels in cut[:-1]} <= {batch_rows}


@given(st.integers(2, 40), st.integers(2, 50), st.integers(0, 3))
def test_shuffled_batches_are_full_and_hold_no_row_twice(count: int, batch_rows: int, reach: int) -> None:
    batches = ShuffledBatches(numbered_rows(count), batch_rows, augment=Augmentation(shift_pixels=reach), seed=0)

    epoch = list(batches)

    seen = [label for _, labels in epoch for label in labels.tolist()]
    assert len(epoch) == len(batches) == count // batch_rows
    assert {len(labels) for _, labels in epoch} <= {batch_rows}
    assert len(set(seen)) == len(seen)


def test_every_epoch_has_an_order_of_its_own() -> None:
    batches = ShuffledBatches(numbered_rows(32), 8, seed=0)

    orders = [torch.cat([labels for _, labels in batches]).tolist() for _ in range(3)]

    assert len({tuple(order) for order in orders}) == 3


def test_the_same_seed_gives_the_same_epochs() -> None:
    rows = numbered_rows(32)

    one, same, other = (ShuffledBatches(rows, 8, augment=Augmentation(shift_pixels=2), seed=seed) for seed in (1, 1, 2))

    epochs = [torch.cat([values for _ in range(2) for values, _ in batches]) for batches in (one, same, other)]
    assert torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], epochs[2])


def test_the_order_does_not_depend_on_torch_s_own_generator() -> None:
    batches = [ShuffledBatches(numbered_rows(32), 8, augment=Augmentation(shift_pixels=1), seed=0) for _ in range(2)]

    with torch.random.fork_rng():
        torch.manual_seed(1)
        one = torch.cat([values for values, _ in batches[0]])
        torch.manual_seed(2)
        same = torch.cat([values for values, _ in batches[1]])

    assert torch.equal(one, same)


def test_without_a_shift_images_stay_as_they_are() -> None:
    rows = numbered_rows(16)

    epoch = list(ShuffledBatches(rows, 4, seed=0))

    assert all(torch.equal(values, rows.values[labels]) for values, labels in epoch)


@pytest.mark.parametrize("reach", [1, 2])
def test_every_image_is_its_own_moved_by_at_most_so_many_pixels(reach: int) -> None:
    rows = numbered_rows(64)

    epoch = list(ShuffledBatches(rows, 16, augment=Augmentation(shift_pixels=reach), seed=0))

    moved = [
        (image, moves(rows.values[label], reach))
        for values, labels in epoch
        for image, label in zip(values, labels, strict=True)
    ]
    chosen = [[i for i, move in enumerate(every) if torch.equal(image, move)] for image, every in moved]
    assert all(len(matches) == 1 for matches in chosen)
    assert len({matches[0] for matches in chosen}) > (2 * reach + 1) ** 2 / 2  # 64 draws reach most of 9 or 25 offsets


def test_moving_images_leaves_the_rows_themselves_alone() -> None:
    rows = numbered_rows(16)
    before = rows.values.clone()

    for _ in ShuffledBatches(rows, 4, augment=Augmentation(shift_pixels=2), seed=0):
        pass

    assert torch.equal(rows.values, before)


def test_what_is_done_to_the_rows_of_a_batch_is_drawn_apart_from_the_order_of_their_epoch() -> None:
    rows = Rows(torch.ones(8, 1, 1, 1), torch.arange(8))

    ((values, order),) = ShuffledBatches(rows, 8, seed=3, augment=Augmentation(brightness=0.5))

    (seed,) = np.random.SeedSequence((3, 0)).generate_state(1, np.uint64)
    of_the_order = [torch.Generator().manual_seed(int(seed)) for _ in range(2)]
    assert torch.equal(order, torch.randperm(8, generator=of_the_order[0]))
    assert not torch.allclose(values.flatten(), 0.5 + torch.rand(8, generator=of_the_order[1]))
