"""Runs in these tests fit one device."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module", autouse=True)
def _all_on_one_device(one_device):
    del one_device


@pytest.fixture(scope="session")
def paint():
    """Fills a folder with noisy pictures in four colors, a class each."""

    def pictures(folder, each, size, ending):
        draw = np.random.default_rng(0)
        for split, count in each.items():
            for label, color in enumerate(draw.integers(60, 196, (4, 3))):
                (folder / split / f"class{label}").mkdir(parents=True)
                for number in range(count):
                    pixels = np.clip(color + draw.normal(0, 60, (*size(draw), 3)), 0, 255).astype(np.uint8)
                    Image.fromarray(pixels).save(folder / split / f"class{label}" / f"{number}.{ending}")

    return pictures
