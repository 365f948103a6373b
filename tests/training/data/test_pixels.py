import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from training.data.pixels import PixelForm
from training.errors import DataError

GRAY, COLOURS = PixelForm(channels=1), PixelForm(channels=3)


def encoded(image: Image.Image, **options: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def pixels(form: PixelForm, image: Image.Image, **options: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    return form.decode(encoded(image, **options), lambda: "image")


def one_pixel(form: PixelForm, mode: str, value: Any) -> list[int]:  # noqa: ANN401
    found: list[int] = pixels(form, Image.new(mode, (1, 1), value))[:, 0, 0].tolist()
    return found


@pytest.mark.parametrize(
    ("mode", "value", "gray", "colours"),
    [
        ("L", 7, [7], [7, 7, 7]),
        ("1", 1, [255], [255, 255, 255]),
        ("RGB", (255, 0, 0), [76], [255, 0, 0]),  # 0.299 of 255
        ("LA", (7, 255), [7], [7, 7, 7]),
        ("RGBA", (255, 0, 0, 255), [76], [255, 0, 0]),
        ("RGBA", (255, 0, 0, 0), [255], [255, 255, 255]),
        ("I;16", 0x1234, [0x12], [0x12, 0x12, 0x12]),
    ],
)
def test_every_mode_becomes_gray_or_colours(mode: str, value: Any, gray: list[int], colours: list[int]) -> None:  # noqa: ANN401
    assert one_pixel(GRAY, mode, value) == gray
    assert one_pixel(COLOURS, mode, value) == colours


def test_a_palette_becomes_its_colours_and_what_it_has_transparent_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)

    found = pixels(COLOURS, image, transparency=1)

    assert found[:, 0].T.tolist() == [[255, 0, 0], [255, 255, 255]]


def test_an_image_is_turned_as_its_orientation_says() -> None:
    image = Image.fromarray(np.array([[1, 2, 3]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right

    found = pixels(GRAY, image, exif=exif)

    assert found.tolist() == [[[1], [2], [3]]]


def test_a_crop_is_the_middle_of_an_image_and_a_stretch_all_of_it() -> None:
    image = Image.fromarray(np.array([[0, 0, 100, 100, 200, 200]] * 2, np.uint8))

    cropped = pixels(PixelForm(channels=1, size=2), image)
    stretched = pixels(PixelForm(channels=1, size=(2, 3), resize="stretch"), image)

    assert cropped.tolist() == [[[100, 100], [100, 100]]]
    # a third is an average with a triangle's weights, which reaches into its neighbours
    assert (np.diff(stretched[0], axis=1) > 50).all()


def test_thirty_two_bits_a_pixel_are_refused() -> None:
    buffer = io.BytesIO()
    Image.new("F", (1, 1)).save(buffer, "TIFF")

    with pytest.raises(DataError, match=r"^image: expected 8 or 16 bits a channel, got 32 \(mode F\)$"):
        GRAY.decode(buffer.getvalue(), lambda: "image")
