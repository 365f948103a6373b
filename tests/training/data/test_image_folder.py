from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.data.files import save_image
from training.data.batches import read_all
from training.data.image_folder import ImageFolder
from training.errors import DataError

PER_CLASS = 4


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Dark cats and bright dogs of 3x4 pixels."""
    for number in range(PER_CLASS):
        save_image(tmp_path / "cat" / f"{number}.png", 10 + number)
        save_image(tmp_path / "dog" / f"{number}.png", 200 + number)
    return tmp_path


def test_a_folder_is_a_class(animals: Path) -> None:
    splits = ImageFolder(folder=animals, channels=1).load()

    assert splits.labels == ("cat", "dog")
    for part in (splits.train, splits.validation, splits.test):
        values = read_all(part)
        assert values.shape == (len(part), 1, 3, 4)
        assert torch.equal((values[:, 0, 0, 0] > 100).long(), part.labels)


def test_only_the_rows_that_are_asked_for_are_read(animals: Path) -> None:
    """The others may be anything by then."""
    splits = ImageFolder(folder=animals, channels=1).load()
    for path in animals.glob("dog/*"):
        path.unlink()

    (cats,) = torch.nonzero(splits.train.labels == 0, as_tuple=True)

    assert len(splits.train.read(cats)) == len(cats)


def test_images_kept_in_memory_are_the_same_data(animals: Path) -> None:
    kept, read = (ImageFolder(folder=animals, channels=1, in_memory=each).load() for each in (True, False))

    values = read_all(read.train)
    for path in animals.glob("*/*"):
        path.unlink()

    assert torch.equal(read_all(kept.train), values)
    assert kept.record() == read.record()


def test_folders_of_parts_are_the_parts(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("val", 2), ("test", 1)):
        for name, number in ((name, number) for name in ("cat", "dog") for number in range(count)):
            save_image(tmp_path / part / name / f"{number}.png", number)

    splits = ImageFolder(folder=tmp_path).load()

    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [8, 4, 2]


@pytest.mark.parametrize(("part", "named"), [("val", "validation"), ("validation", "validation"), ("test", "test")])
def test_an_empty_folder_of_a_part_is_refused(tmp_path: Path, part: str, named: str) -> None:
    for name in ("cat", "dog"):
        save_image(tmp_path / "train" / name / "0.png", 1)
    (tmp_path / part).mkdir()

    with pytest.raises(DataError, match=rf"expected rows, got none in {named}$"):
        ImageFolder(folder=tmp_path).load()


def test_two_folders_of_rows_to_decide_by_are_refused(tmp_path: Path) -> None:
    for part in ("train", "val", "validation"):
        save_image(tmp_path / part / "cat" / "0.png", 1)

    with pytest.raises(DataError, match=r"expected one folder of rows to decide by, got both val and validation$"):
        ImageFolder(folder=tmp_path).load()


def test_the_hash_is_of_every_byte_of_every_image_and_of_its_label(animals: Path) -> None:
    before = ImageFolder(folder=animals).load().record().sha256

    save_image(animals / "cat" / "0.png", 99)
    other_image = ImageFolder(folder=animals).load().record().sha256
    save_image(animals / "cat" / "0.png", 10)
    (animals / "cat").rename(animals / "zebra")
    other_labels = ImageFolder(folder=animals).load().record().sha256

    assert len({before, other_image, other_labels}) == 3


@pytest.mark.parametrize("size", [(6, 2), 5])
def test_images_get_the_size_that_is_asked_for(animals: Path, size: tuple[int, int] | int) -> None:
    save_image(animals / "cat" / "large.png", 10, size=(40, 30))

    rows = ImageFolder(folder=animals, size=size).load().train

    assert read_all(rows).shape[1:] == (3, *((size, size) if isinstance(size, int) else size))


def test_what_lies_in_folders_of_a_class_is_of_the_class(animals: Path) -> None:
    save_image(animals / "cat" / "indoors" / "0.png", 10)
    save_image(animals / "cat" / ".thumbnails" / "0.png", 10)
    (animals / ".DS_Store").write_bytes(b"left by a system")

    splits = ImageFolder(folder=animals).load()

    assert sum(len(part) for part in (splits.train, splits.validation, splits.test)) == 2 * PER_CLASS + 1


def cut_short(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("name", ["broken.png", "broken.jpg", "notes.txt"])
def test_an_image_that_can_t_be_read_is_refused_by_name(animals: Path, name: str) -> None:
    path = animals / "dog" / name
    cut_short(path) if name.startswith("broken") else path.write_text("no image")

    with pytest.raises(DataError, match=rf"dog/{name}: expected an image that can be read: [^\n<]+$"):
        ImageFolder(folder=animals, size=8).load()


def test_images_of_several_sizes_are_refused_where_none_is_asked_for(animals: Path) -> None:
    save_image(animals / "dog" / "1.png", 200, size=(5, 3))

    with pytest.raises(DataError, match=r"dog/1\.png: expected 3x4 pixels, as most images have them, got 3x5; a size"):
        ImageFolder(folder=animals).load()


def test_a_class_without_images_is_refused(animals: Path) -> None:
    (animals / "fish").mkdir()

    with pytest.raises(DataError, match=r"fish: expected images of class 'fish', got none$"):
        ImageFolder(folder=animals).load()


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a folder of images for every class, got none$"):
        ImageFolder(folder=tmp_path).load()


def test_one_class_is_none(animals: Path) -> None:
    (animals / "dog").rename(animals / "cat" / "dog")

    with pytest.raises(DataError, match="expected rows of at least two classes to train on, got only 'cat'"):
        ImageFolder(folder=animals).load()


def test_images_beside_the_classes_are_refused(animals: Path) -> None:
    save_image(animals / "stray.png", 1)

    with pytest.raises(DataError, match=r"stray\.png: expected folders alone, one a class, got a file beside them$"):
        ImageFolder(folder=animals).load()


def test_a_class_that_was_not_trained_on_is_refused(tmp_path: Path) -> None:
    for place in ("train/cat", "train/dog", "test/cat", "test/fish"):
        save_image(tmp_path / place / "0.png", 1)

    with pytest.raises(DataError, match=r"test/fish: expected a class of [^ ]+/train: cat, dog$"):
        ImageFolder(folder=tmp_path).load()


def test_a_folder_that_is_not_there_is_refused_with_the_nearest_name(animals: Path) -> None:
    with pytest.raises(DataError, match=r"animols: expected a folder that exists; did you mean animals\?$"):
        ImageFolder(folder=animals.rename(animals.parent / "animals").with_name("animols")).load()
