"""Programs that save for ever, killed at random moments."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def killed():
    """Runs a program that saves to a directory and prints a number after each; yields the last after every kill."""

    def kill(program, directory, *, times, saves, within):
        random = np.random.default_rng(0)
        for _ in range(times):
            child = subprocess.Popen(
                [sys.executable, "-c", program, str(directory)], cwd=ROOT, stdout=subprocess.PIPE, text=True
            )
            for _ in range(int(random.integers(*saves))):
                reported = int(child.stdout.readline())
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=random.uniform(0, within))
            child.send_signal(signal.SIGKILL)
            child.communicate()
            yield reported

    return kill
