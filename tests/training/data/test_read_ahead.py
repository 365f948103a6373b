import threading
from pathlib import Path

import pytest
import torch

from tests.training.data.files import save_image
from training.data.augmentation import Augmentation
from training.data.batches import ShuffledBatches, ValueBatches
from training.data.image_folder import ImageFolder
from training.data.read_ahead import read_one_ahead

DEADLINE_S = 60.0


def threads_that_read() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_everything_is_read_in_order(count: int) -> None:
    assert list(read_one_ahead(str, range(count))) == [str(number) for number in range(count)]


def test_while_one_is_worked_with_the_next_is_read_and_none_behind_it() -> None:
    read = [threading.Event() for _ in range(4)]
    batches = read_one_ahead(lambda number: read[number].set(), range(4))

    next(batches)

    assert read[1].wait(DEADLINE_S)
    assert [event.is_set() for event in read[2:]] == [False, False]


def test_an_error_comes_where_it_would_without_a_thread_and_leaves_none() -> None:
    batches = read_one_ahead(lambda number: 6 // (2 - number), range(5))

    before = [next(batches), next(batches)]

    assert before == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(batches)
    assert threads_that_read() == []


def test_breaking_off_leaves_no_thread() -> None:
    for _ in read_one_ahead(str, range(5)):
        reading = threads_that_read()
        break

    assert len(reading) == 1
    assert threads_that_read() == []


def test_images_that_are_decoded_ahead_make_the_batches_of_those_in_memory(tmp_path: Path) -> None:
    for number in range(6):
        save_image(tmp_path / "cat" / f"{number}.png", 10 + number)
        save_image(tmp_path / "dog" / f"{number}.png", 200 + number)
    parts = [ImageFolder(folder=tmp_path, in_memory=kept).load().train for kept in (True, False)]

    epochs, values = [], []
    for rows in parts:
        batches = ShuffledBatches(rows, 3, seed=1, augment=Augmentation(brightness=0.5))
        batches.seek(1)
        epochs.append([torch.cat([pixels for pixels, _ in batches]) for _ in range(2)])
        values.append(torch.cat(list(ValueBatches(rows, 4))))

    assert all(torch.equal(kept, read) for kept, read in zip(*epochs, strict=True))
    assert torch.equal(*values)
