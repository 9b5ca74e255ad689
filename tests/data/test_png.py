import numpy as np
import pytest

from lpjax import data
from lpjax.data.png import decode_image


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_keeps_every_pixel(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    np.testing.assert_array_equal(decode_image(data.encode_png(pixels), channels), pixels)


def test_channels_are_converted():
    gray = data.encode_png(np.full((2, 2, 1), 9, np.uint8))
    np.testing.assert_array_equal(decode_image(gray, 3), np.full((2, 2, 3), 9))
