import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from tests.training.data.files import save_image
from training.data.batches import read_all
from training.data.hub import HubDataset
from training.errors import DataError

ROWS = 20


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is asked for over a network, and what is made of files is kept nowhere else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_OFFLINE", "1")
        import datasets  # noqa: PLC0415  it reads these variables then, if it was not imported before
        from huggingface_hub import constants  # noqa: PLC0415

        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        datasets.disable_progress_bars()
        yield


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A file of rows with two numbers and a class."""
    rows = [{"width": row, "height": row / 4, "label": "ab"[row % 2]} for row in range(ROWS)]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of images as ``datasets`` reads it: a folder a part, within it one a class."""
    for part, name, number in ((p, n, i) for p in ("train", "test") for n in ("cat", "dog") for i in range(4)):
        save_image(tmp_path / "animals" / part / name / f"{number}.png", 10 + number + (200 if name == "dog" else 0))
    return tmp_path / "animals"


def test_columns_of_numbers_are_a_table(table: Path) -> None:
    splits = HubDataset(name=str(table)).load()

    rows = torch.cat([read_all(part) for part in (splits.train, splits.validation, splits.test)])
    assert splits.columns == ("width", "height")
    assert splits.labels == ("a", "b")
    assert sorted(rows.tolist()) == [[row, row / 4] for row in range(ROWS)]


def test_a_column_of_images_is_decoded_when_it_is_read(images: Path) -> None:
    splits = HubDataset(name=str(images), image="image", channels=1).load()

    values = read_all(splits.test)
    assert splits.labels == ("cat", "dog")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (6, 2, 8)
    assert values.shape == (8, 1, 3, 4)
    assert torch.equal((values[:, 0, 0, 0] > 100).long(), splits.test.labels)


def test_parts_may_have_other_names(images: Path) -> None:
    source = HubDataset(name=str(images), image="image", splits={"train": "test", "validation": "train"})

    splits = source.load()

    assert (len(splits.train), len(splits.validation), len(splits.test)) == (6, 8, 2)


def test_an_image_that_can_t_be_read_is_refused_by_row(images: Path) -> None:
    (images / "train" / "dog" / "0.png").write_bytes(b"no image")

    with pytest.raises(DataError, match=r"animals: train: row 5: expected an image that can be read: [^\n<]+$"):
        HubDataset(name=str(images), image="image").load()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"label": "labels"}, "expected a column 'labels', got width, height, label; did you mean label?"),
        ({"columns": ["with"]}, "train: expected a column 'with', got .*; did you mean width?"),
        ({"image": "photo"}, "expected a column 'photo', got width, height, label"),
        ({"image": "width"}, r"column 'width': expected images, got Value\('int64'\)$"),
        ({"splits": {"train": "training"}}, "splits: expected one of train, got 'training'; did you mean train?"),
    ],
)
def test_what_a_data_set_does_not_have_is_refused(table: Path, fields: dict[str, object], problem: str) -> None:
    with pytest.raises(DataError, match=rf"data\.jsonl: {problem}"):
        HubDataset.model_validate({"name": str(table), **fields}).load()


def test_a_missing_label_of_an_image_is_refused_by_row(images: Path, tmp_path: Path) -> None:
    rows = [
        {"picture": {"path": str(path), "bytes": None}, "label": None if number == 2 else number % 2}
        for number, path in enumerate(sorted(images.glob("train/*/*.png")))
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "labelled.parquet")
    source = HubDataset(name=str(tmp_path / "labelled.parquet"), image="picture")

    with pytest.raises(
        DataError, match=r"labelled\.parquet: train: row 3: column 'label': expected a label, got none$"
    ):
        source.load()


@pytest.mark.parametrize("name", ["nobody/nothing", "nothing"])
def test_a_data_set_that_is_not_there_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(DataError, match=rf"^{name}: expected a data set that can be loaded: [^\n]+$"):
        HubDataset(name=name).load()


def test_without_the_library_its_extra_is_named(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)

    with pytest.raises(DataError, match=r"expected the package datasets, it is not installed; `pip install"):
        HubDataset(name=str(table)).load()
