"""This module reads folders of images: a folder a class, named like it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from training.data.cutting import PARTS, Split, make_splits
from training.data.encoded_images import ImageFiles, image_rows
from training.data.pixels import PixelForm
from training.data.places import existing_folder
from training.data.splits import LabelledRows, Splits
from training.errors import DataError

LEFT_BY_SYSTEMS = frozenset({"Thumbs.db", "desktop.ini"})


class ImageFolder(PixelForm):
    """Images, a folder a class; or folders ``train`` and perhaps ``validation`` and ``test``, with one a class each.

    Images may lie in further folders within that of their class. What begins with a dot is left alone.

    Attributes:
        folder: Where the classes are, or the parts.
        in_memory: Whether all images are kept in memory as they were decoded, instead of decoded in every epoch.
        split: How parts are cut that have no folder.
    """

    format: Literal["images"] = "images"
    folder: Path
    in_memory: bool = False
    split: Split = Split()

    def load(self) -> Splits[LabelledRows]:
        """Rows ``(rows, channels, height, width)`` of pixels from 0 to 255; classes in alphabetical order.

        Raises:
            DataError: If there are no images, or one can't be read, or is of another size than the rest.
        """
        root = existing_folder(self.folder)
        folders = _parts(root)
        labels = tuple(each.name for each in _folders(folders["train"]))
        if not labels:
            raise DataError(f"{folders['train']}: expected a folder of images for every class, got none")
        paths: list[Path] = []
        numbers: list[int] = []
        chosen: dict[str, Tensor] = {}
        for part, folder in folders.items():
            first = len(paths)
            for each in _folders(folder):
                if each.name not in labels:
                    raise DataError(f"{each}: expected a class of {folders['train']}: {', '.join(labels)}")
                found = _images(each)
                paths += found
                numbers += [labels.index(each.name)] * len(found)
            chosen[part] = torch.arange(first, len(paths))
        form = PixelForm(size=self.size, resize=self.resize, channels=self.channels)
        rows = image_rows(ImageFiles(paths), torch.tensor(numbers, dtype=torch.int64), form, in_memory=self.in_memory)
        parts: dict[str, LabelledRows] = {part: rows.select(each) for part, each in chosen.items()}
        return make_splits(str(self.folder), labels, parts, self.split)


def _parts(root: Path) -> dict[str, Path]:
    names = {each.name for each in _folders(root)}
    if "train" not in names or not names <= {*PARTS, "val"}:
        return {"train": root}
    if {"val", "validation"} <= names:
        raise DataError(f"{root}: expected one folder of rows to decide by, got both val and validation")
    folders: dict[str, Path] = {part: root / part for part in PARTS if part in names}
    return folders | ({"validation": root / "val"} if "val" in names else {})


def _folders(folder: Path) -> list[Path]:
    inside = sorted(each for each in folder.iterdir() if _counts(each))
    for each in inside:
        if not each.is_dir():
            raise DataError(f"{each}: expected folders alone, one a class, got a file beside them")
    return inside


def _images(folder: Path) -> list[Path]:
    found = sorted(
        each
        for each in folder.rglob("*")
        if each.is_file() and all(_counts(Path(part)) for part in each.relative_to(folder).parts)
    )
    if not found:
        raise DataError(f"{folder}: expected images of class {folder.name!r}, got none")
    return found


def _counts(path: Path) -> bool:
    return not path.name.startswith(".") and path.name not in LEFT_BY_SYSTEMS
