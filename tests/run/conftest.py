"""Runs in these tests fit one device, and runs of one config share what they have compiled."""

import json

import numpy as np
import pytest
from PIL import Image

from lpjax import models, run, train
from lpjax.run.config import as_json

COMPILES_NOTHING = ("seeds", "save_every")
"""Settings of which no compiled function knows."""


@pytest.fixture(scope="module", autouse=True)
def _all_on_one_device(one_device):
    del one_device


@pytest.fixture(scope="module", autouse=True)
def _prepared_once(_all_on_one_device):
    """Prepares a config once per module. That another process comes to the same bytes is tested with processes."""
    prepare, prepared = run.prepare, {}

    def once(config):
        compiled = {name: value for name, value in as_json(config).items() if name not in COMPILES_NOTHING}
        key = (json.dumps(compiled, sort_keys=True), train.mesh_of(), id(models.MODELS.get(config.model)))
        if key not in prepared:
            prepared[key] = prepare(config)
        return prepared[key]._replace(config=config)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "prepare", once)
        yield


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
