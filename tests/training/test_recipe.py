from pathlib import Path

import pytest
from pydantic import ValidationError

from training.data.augmentation import Augmentation
from training.data.cutting import Split
from training.data.digits import Digits
from training.data.image_folder import ImageFolder
from training.data.npz import NpzFile
from training.errors import RecipeError
from training.networks import build_network
from training.recipe import RECIPES, Recipe, load_recipe

COMMITTED = sorted(path.stem for path in RECIPES.glob("*.yaml"))

TEXT = """
name: tiny
network: mlp
data: digits
epochs: 3
batch_rows: 16
learning_rate: 0.1
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize("name", COMMITTED)
def test_every_committed_recipe_can_be_followed(name: str) -> None:
    recipe = load_recipe(name)

    network = build_network(recipe.network, recipe.arguments)

    assert recipe.name == name
    assert sum(parameter.numel() for parameter in network.parameters()) > 0


def test_a_recipe_can_be_a_file_of_its_own(tiny: Path) -> None:
    recipe = load_recipe(str(tiny))

    assert recipe == Recipe(name="tiny", network="mlp", data=Digits(), epochs=3, batch_rows=16, learning_rate=0.1)


def test_what_a_recipe_does_not_say_is_off(tiny: Path) -> None:
    recipe = load_recipe(str(tiny))

    assert (recipe.arguments, recipe.weight_decay, recipe.augment, recipe.seed) == ({}, 0.0, Augmentation(), 0)


def test_changes_are_written_as_in_the_file(tiny: Path) -> None:
    changes = ["epochs=5", "arguments={widths: [8, 4]}", "learning_rate=1.0e-3", "name=other"]

    recipe = load_recipe(str(tiny), changes)

    assert (recipe.epochs, recipe.learning_rate, recipe.name) == (5, 1e-3, "other")
    assert recipe.arguments == {"widths": [8, 4]}


def test_a_change_reaches_a_field_of_a_field(tiny: Path) -> None:
    changes = ["data.format=images", "data.folder=/data/animals", "data.split.seed=3", "augment.flip=true"]

    recipe = load_recipe(str(tiny), changes)

    assert recipe.data == ImageFolder(folder=Path("/data/animals"), split=Split(seed=3))
    assert recipe.augment == Augmentation(flip=True)


def test_a_change_of_a_field_turns_a_name_into_fields(tiny: Path) -> None:
    recipe = load_recipe(str(tiny), ["data.format=npz", "data.file=rows.npz"])

    assert recipe.data == NpzFile(file=Path("rows.npz"))


@pytest.mark.parametrize(
    "data",
    [
        "{format: digits}",
        "{format: idx, folder: mnist}",
        "{format: npz, file: a.npz, arrays: {train: [x, y]}}",
        "{format: csv, file: a.csv, label: kind, without: [id]}",
        "{format: parquet, file: a.parquet, label: kind, columns: [a, b]}",
        "{format: images, folder: animals, size: [32, 48], channels: 1}",
        "{format: hub, name: ylecun/mnist, image: image, splits: {train: train}}",
    ],
)
def test_a_recipe_with_any_format_survives_its_way_through_json(tiny: Path, data: str) -> None:
    recipe = load_recipe(str(tiny), [f"data={data}"])

    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("{format: excel}", "data: Expected a format of digits, idx, npz, csv, parquet, images, hub, got"),
        ("excel", "data: Expected a format of digits, idx, npz, csv, parquet, images, hub, got {'format': 'excel'}"),
        ("{folder: here}", "data: Expected a format of digits"),
        ("3", "data: Expected a format of digits"),
        ("images", "data.folder: Field required"),
        ("{format: images}", "data.folder: Field required"),
        ("{format: csv, file: a, label: b, columns: []}", "data.columns: Tuple should have at least 1 item"),
        ("{format: images, folder: a, split: {test: 2}}", "data.split.test: Input should be less than 1"),
        ("{format: images, folder: a, folders: b}", "data.folders: expected no such field (did you mean folder?), got"),
        ("{format: idx}", "data.idx: Value error, expected either folder, or train"),
    ],
)
def test_data_that_is_not_described_right_is_refused_by_field(tiny: Path, data: str, problem: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        load_recipe(str(tiny), [f"data={data}"])

    assert str(refusal.value).startswith(f"tiny.yaml: {problem}")
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("epoch=3", "epoch: expected no such field (did you mean epochs?), got 3"),
        ("qqq=3", "qqq: expected no such field, got 3"),
        ("max_gradient_norm=.inf", "max_gradient_norm: Input should be a finite number, got inf"),
        ("weight_decay=.nan", "weight_decay: Input should be a finite number, got nan"),
        ("augment.rotate_degrees=.nan", "augment.rotate_degrees: Input should be"),
        (
            "normalize=[{action: freeze, types: ['*']}]",
            "normalize: Value error, expected insert or remove, a fit begins",
        ),
    ],
)
def test_what_no_fit_can_do_is_refused_by_field(tiny: Path, change: str, problem: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        load_recipe(str(tiny), [change])

    assert str(refusal.value).startswith(f"tiny.yaml: {problem}")


def test_the_last_of_two_changes_of_a_field_counts(tiny: Path) -> None:
    recipe = load_recipe(str(tiny), ["epochs=5", "epochs=6"])

    assert recipe.epochs == 6


def test_a_recipe_does_not_change_once_it_is_read(tiny: Path) -> None:
    recipe = load_recipe(str(tiny))

    with pytest.raises(ValidationError, match="frozen"):
        recipe.epochs = 5  # type: ignore[misc]


@pytest.mark.parametrize("name", ["resnet", "nowhere.yaml"])
def test_an_unknown_recipe_is_refused_with_those_that_there_are(name: str) -> None:
    known = ", ".join(COMMITTED)

    with pytest.raises(RecipeError) as refusal:
        load_recipe(name)

    assert str(refusal.value) == f"recipe: expected one of {known}, or a .yaml file that exists, got {name!r}"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("epochs=0", "epochs"),
        ("epochs=many", "epochs"),
        ("batch_rows=1", "batch_rows"),  # a batch of one row has no variance
        ("learning_rate=0", "learning_rate"),
        ("learning_rate=.nan", "learning_rate"),
        ("weight_decay=-0.1", "weight_decay"),
        ("augment={shift_pixels: -1}", "augment.shift_pixels"),
        ("seed=-1", "seed"),
        ("name=../elsewhere", "name"),
        ("arguments=[1]", "arguments"),
        ("impulse=0.9", "impulse"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_field(tiny: Path, change: str, field: str) -> None:
    with pytest.raises(RecipeError, match=rf"^tiny\.yaml: {field}: [^\n]+, got [^\n]+$"):
        load_recipe(str(tiny), [change])


@pytest.mark.parametrize("field", ["name", "network", "data", "epochs", "batch_rows", "learning_rate"])
def test_a_missing_field_is_refused_by_name(tiny: Path, field: str) -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith(field)]
    tiny.write_text("\n".join(lines))

    with pytest.raises(RecipeError, match=rf"^tiny\.yaml: {field}: Field required"):
        load_recipe(str(tiny))


@pytest.mark.parametrize("change", ["epochs", "", "epochs 3"])
def test_a_change_that_assigns_nothing_is_refused(tiny: Path, change: str) -> None:
    with pytest.raises(RecipeError, match=r"^--set: expected key=value, got "):
        load_recipe(str(tiny), [change])


def test_a_change_whose_value_is_no_yaml_is_refused_by_field(tiny: Path) -> None:
    with pytest.raises(RecipeError, match=r"^--set arguments: expected a YAML value, got '\{widths: \['$"):
        load_recipe(str(tiny), ["arguments={widths: ["])


@pytest.mark.parametrize(
    "content", [b"[1, 2]", b"3", b"", b"name: [", b"name: tiny\n\tepochs: 3\n", b"\xff\xfe\x00name"], ids=repr
)
def test_a_file_that_is_no_recipe_is_refused_in_one_line(tiny: Path, content: bytes) -> None:
    tiny.write_bytes(content)

    with pytest.raises(RecipeError) as refusal:
        load_recipe(str(tiny))

    assert str(refusal.value).startswith(str(tiny))
    assert len(str(refusal.value).splitlines()) == 1


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    folder = tmp_path / "folder.yaml"
    folder.mkdir()

    with pytest.raises(RecipeError, match=r"folder\.yaml: expected a YAML file that can be read"):
        load_recipe(str(folder))
