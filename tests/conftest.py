"""Every test runs on eight simulated CPU devices, under strict dtypes, with compiled programs remembered."""

import os
from pathlib import Path

from hypothesis import settings

# JAX reads these when it is imported, and programs that tests start inherit them.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lpjax" / "tests"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8".strip()
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

settings.register_profile("lpjax", deadline=None, max_examples=25, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("lpjax")
