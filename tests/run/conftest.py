"""Runs in these tests fit one device."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _all_on_one_device(one_device):
    del one_device
