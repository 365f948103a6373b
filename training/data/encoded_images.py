"""This module is rows that are images in files, read and decoded every time they are wanted, by several threads.

So a data set may be larger than memory. Every image is read once before the fit: a broken one ends it at once, not
hours later, and the hash of the data is of what was read then.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from training.data.pixels import PixelForm, Pixels
from training.data.splits import Digest
from training.errors import DataError

MOST_THREADS = 16

Result = TypeVar("Result")


class Encoded(Protocol):
    """Encoded images by their numbers."""

    def read(self, number: int) -> bytes:
        """All bytes of an image; raises DataError if there are none."""

    def name(self, number: int) -> str:
        """What messages name it."""


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Images that lie in files of their own."""

    paths: Sequence[Path]

    def read(self, number: int) -> bytes:
        """See ``Encoded``."""
        try:
            return self.paths[number].read_bytes()
        except OSError as error:
            raise DataError(f"{self.name(number)}: expected an image that can be read: {error}") from error

    def name(self, number: int) -> str:
        """The path."""
        return str(self.paths[number])


@dataclass(frozen=True, slots=True, eq=False)
class ImageRows:
    """Rows of images.

    Attributes:
        images: All of a data set, or more.
        numbers: Which of them the rows are, ``(rows,)``.
        labels: Shape ``(rows,)``.
        form: What an image is made into.
        hashes: SHA-256 of every image of ``images``, in order.
        pixels: Every image of ``images`` as it is decoded, if that is kept.
    """

    images: Encoded
    numbers: Tensor
    labels: Tensor
    form: PixelForm
    hashes: Sequence[bytes]
    pixels: Tensor | None = None

    @property
    def are_in_memory(self) -> bool:
        """See ``LabelledRows``."""
        return self.pixels is not None

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, chosen: Tensor) -> Tensor:
        """Pixels ``(n, channels, height, width)`` from 0 to 255 in float32."""
        if self.pixels is not None:
            return self.pixels[self.numbers[chosen]].to(torch.float32)
        pixels = np.stack(_in_threads(self._decode, self.numbers[chosen].tolist()))
        return torch.from_numpy(pixels).to(torch.float32)

    def select(self, chosen: Tensor) -> ImageRows:
        """See ``LabelledRows``."""
        return replace(self, numbers=self.numbers[chosen], labels=self.labels[chosen])

    def add_to(self, digest: Digest) -> None:
        """Put the form, the hashes of all images and their labels into a hash."""
        digest.update(self.form.model_dump_json().encode())
        for number in self.numbers.tolist():
            digest.update(self.hashes[number])
        digest.update(self.labels.to(torch.int64).numpy().tobytes())

    def _decode(self, number: int) -> Pixels:
        return self.form.decode(self.images.read(number), lambda: self.images.name(number))


def image_rows(images: Encoded, labels: Tensor, form: PixelForm, *, in_memory: bool = False) -> ImageRows:
    """Rows of all images, each read and decoded once.

    Args:
        images: One a label.
        labels: Shape ``(rows,)``.
        form: What to make of an image.
        in_memory: Whether the decoded images are kept.

    Raises:
        DataError: If an image can't be read or decoded, or they differ in size and no size is given.
    """

    def decode(number: int) -> tuple[bytes, Pixels]:
        content = images.read(number)
        return content, form.decode(content, lambda: images.name(number))

    kept: Pixels | None = None
    if in_memory and len(labels):
        _, first = decode(0)
        kept = np.empty((len(labels), *first.shape), first.dtype)

    def look(number: int) -> tuple[bytes, str]:
        content, pixels = decode(number)
        if kept is not None and pixels.shape == kept.shape[1:]:
            # put in its place at once: memory may have room for all images once, and not twice
            kept[number] = pixels
        return hashlib.sha256(content).digest(), f"{pixels.shape[1]}x{pixels.shape[2]}"

    looked = _in_threads(look, range(len(labels)))
    sizes = Counter(size for _, size in looked)
    for number, (_, size) in enumerate(looked):
        if size != (usual := sizes.most_common(1)[0][0]):
            raise DataError(
                f"{images.name(number)}: expected {usual} pixels, as most images have them, got {size}; "
                "a size makes them all alike"
            )
    return ImageRows(
        images,
        torch.arange(len(labels)),
        labels,
        form,
        [content for content, _ in looked],
        None if kept is None else torch.from_numpy(kept),
    )


def _in_threads(work: Callable[[int], Result], numbers: Iterable[int]) -> list[Result]:
    """The results in order; Pillow decodes without Python's lock."""
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, numbers))
