"""Every test runs on eight simulated CPU devices, under strict dtypes, with a cache of compiled programs on disk.

Compiled programs hold memory too, three or four maps of it each, and a process of Linux may have 65,530 maps. So
programs are freed at the end of a module if there are many, and a module that needs too much by itself fails.
"""

import ctypes
import gc
import os
import sys
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import settings

# JAX reads these when it is imported, and programs that tests start inherit them.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lpjax" / "tests"
os.environ["JAX_PLATFORMS"] = "cpu"
FLAGS = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
if "xla_backend_optimization_level" not in FLAGS:  # these programs run once: compiling them is what takes the time
    FLAGS += " --xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    if tuple(map(int, metadata.version("jaxlib").split(".")[:2])) < (0, 12):  # later versions end at unknown flags
        FLAGS += " --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = FLAGS.strip()
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

settings.register_profile("lpjax", deadline=None, max_examples=25, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("lpjax")

TESTS_DONE = pytest.StashKey[int]()
MAX_MAPS = 20_000
MAX_RESIDENT_BYTES = 3 * 2**30
FREE_ABOVE = 2 / 3  # of either; freeing takes a second, and what was compiled is compiled again


LONG = ("test_two_hosts", "test_faults", "test_lottery_pools", "test_training", "test_contract", "test_training_loops")
"""Files that take long, in this order: begun last, one of them would keep one process busy while the other waits."""


def pytest_collection_modifyitems(items):
    """Puts long files first; the command line of the Makefile keeps the order of files."""

    def place(item):
        return LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG)

    items.sort(key=place)


def memory_use():
    """Counts this process's memory maps and resident bytes; zeros where there is no /proc."""
    process = Path("/proc/self")
    if not (process / "maps").exists():
        return 0, 0
    maps = len((process / "maps").read_bytes().splitlines())
    pages = int((process / "statm").read_text().split()[1])
    return maps, pages * os.sysconf("SC_PAGESIZE")


def free_if_much(maps, resident):
    """Drops compiled programs if they are many, and gives memory back, which malloc does not by itself."""
    if maps < FREE_ABOVE * MAX_MAPS and resident < FREE_ABOVE * MAX_RESIDENT_BYTES:
        return
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
        if trim:
            trim(0)


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    """Frees what modules compiled once it is a lot, and fails if the process had grown beyond what it may use."""
    yield
    maps, resident = memory_use()
    free_if_much(maps, resident)
    if maps > MAX_MAPS:
        pytest.fail(f"this test process has {maps:,} memory maps, at most {MAX_MAPS:,} are allowed; split the module")
    if resident > MAX_RESIDENT_BYTES:
        pytest.fail(f"this test process has {resident / 2**30:.1f} GiB resident, more than 3; split the module")


@pytest.fixture(autouse=True)
def freed_in_long_modules(request):
    """Frees programs within a module of many tests too: every ten tests it looks."""
    yield
    tests_done = request.session.stash.get(TESTS_DONE, 0) + 1
    request.session.stash[TESTS_DONE] = tests_done
    if tests_done % 10 == 0:
        free_if_much(*memory_use())


@pytest.fixture(scope="module")
def tiny_network():
    """Makes a network that compiles fast a choice of the config's, `tiny`."""
    from lpjax import models
    from tests.networks import tiny

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.MODELS, "tiny", tiny)
        yield


@pytest.fixture(scope="module")
def tiny_config(tiny_network):
    """Makes the config of the finished run, to be changed."""
    from lpjax import run

    del tiny_network

    def make(**changes):
        """Takes changes by field names, with two underscores for the dot."""
        config = run.default_config()
        config.dataset = "digits"
        config.validation = 64
        config.train_images = 80
        config.augment.crop = 1
        config.model = "tiny"
        config.width = 8
        config.train.duration = "3ep"
        config.train.batch_size = 32
        config.train.milestones = ("2ep",)
        config.imp.levels = 3
        config.imp.rewind = "4it"
        config.pool.methods = ("recalibrated", "interpolation", "uniform")
        config.pool.coefficients = (0.25, 0.75)
        config.pool.recalibrate = "40"
        config.update_from_flattened_dict({name.replace("__", "."): value for name, value in changes.items()})
        return config

    return make


@pytest.fixture(scope="module")
def one_device():
    """A run that fits one device need not be compiled for eight; data parallelism has tests of its own."""
    import jax

    from lpjax import train

    mesh = train.mesh_of(jax.devices()[:1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "mesh_of", lambda: mesh)
        yield


@pytest.fixture(scope="session")
def finished_workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("run") / "tiny"


@pytest.fixture(scope="module")
def finished(finished_workdir, tiny_config, one_device):
    """A work directory with tickets, pools and results; not to be changed."""
    from lpjax import run

    del one_device
    run.run(tiny_config(), finished_workdir)  # resumes at once where another module has made it
    return finished_workdir
