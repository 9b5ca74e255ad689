"""Compiled programs, kept between runs."""

import os
from pathlib import Path

import jax


def remember_compilations() -> None:
    """Keeps compiled programs on disk, so that the next run starts at once; a cache of the user's own is left alone."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lpjax" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
