"""A run small enough for tests, and one that is finished."""

import jax
import pytest

from lpjax import run, train
from lpjax.run import job

METHODS = ("recalibrated", "interpolation", "uniform")


def _config():
    config = run.default_config()
    config.dataset = "digits"
    config.validation = 64
    config.train_images = 80
    config.augment.crop = 1
    config.model = "resnet8"
    config.width = 4
    config.train.duration = "3ep"
    config.train.batch_size = 32
    config.train.milestones = ("2ep",)
    config.imp.levels = 3
    config.imp.rewind = "4it"
    config.pool.methods = METHODS
    config.pool.coefficients = (0.25, 0.75)
    config.pool.recalibrate = "40"
    return config


@pytest.fixture(scope="session")
def tiny_config():
    """Makes the config of the finished run, to be changed."""
    return _config


@pytest.fixture(scope="session", autouse=True)
def one_device():
    """A run that fits one device need not be compiled for eight; data parallelism has tests of its own."""
    mesh = train.mesh_of(jax.devices()[:1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job.train, "mesh_of", lambda: mesh)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A work directory with tickets, pools and results; not to be changed."""
    workdir = tmp_path_factory.mktemp("run") / "tiny"
    run.run(_config(), workdir)
    return workdir
