"""This module makes pixels of an encoded image: JPEG, PNG, and whatever else Pillow reads.

An image is turned as its EXIF orientation says. What is transparent is laid on white. Gray becomes three equal colours
where colours are wanted, and colours become gray by their luma (ITU-R 601-2). Sixteen bits a pixel become eight.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Field

from training.errors import DataError

Pixels = NDArray[np.uint8]
Size = Annotated[int, Field(gt=0)]

DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises where an image is none, or damaged, or would take the memory of thousands."""


class PixelForm(BaseModel):
    """What every image is made into.

    Attributes:
        size: Height and width; one number for both. Without it all images have to have the same size already.
        resize: How an image of other proportions gets there: ``crop`` leaves out what is beyond its middle, ``stretch``
            keeps it all.
        channels: 3 for colours, 1 for gray.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: tuple[Size, Size] | Size | None = None
    resize: Literal["crop", "stretch"] = "crop"
    channels: Literal[1, 3] = 3

    @property
    def height_and_width(self) -> tuple[int, int] | None:
        """The size, if there is one."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def decode(self, content: bytes, name: Callable[[], str]) -> Pixels:
        """Pixels ``(channels, height, width)`` from 0 to 255; raises DataError with the image's name if it has none."""
        try:
            with Image.open(io.BytesIO(content)) as opened:
                image = _plain(ImageOps.exif_transpose(opened), name).convert("RGB" if self.channels == 3 else "L")
        except DAMAGE as error:
            raise DataError(f"{name()}: expected an image that can be read: {_without_buffer(error)}") from error
        if self.height_and_width is not None and image.size != self.height_and_width[::-1]:
            image = self._resized(image, self.height_and_width)
        pixels = np.asarray(image)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1) if self.channels == 3 else pixels[None])

    def _resized(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Bilinear; made smaller, every pixel is an average of all that it covers."""
        if self.resize == "crop":
            return ImageOps.fit(image, size[::-1], Image.Resampling.BILINEAR)
        return image.resize(size[::-1], Image.Resampling.BILINEAR)


def _plain(image: Image.Image, name: Callable[[], str]) -> Image.Image:
    """An image without transparency, of eight bits a channel."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise DataError(f"{name()}: expected 8 or 16 bits a channel, got 32 (mode {image.mode})")
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
    return image


def _without_buffer(error: Exception) -> str:
    """Pillow names the buffer in memory, which no one knows."""
    return str(error).partition(" <_io")[0]
