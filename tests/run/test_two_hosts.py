"""Two hosts, as two processes: the results of one, one writer, and nothing lost when one of them is killed."""

import pytest

from experiments.faults.two_hosts import PRESETS, two_hosts


@pytest.mark.slow
def test_two_processes_come_to_the_results_of_one_and_survive_a_kill(tmp_path):
    network = {"model": "tests.networks:one_convolution", "width": 8}
    checks = two_hosts(PRESETS["small"] | network, 0.02, tmp_path)
    assert len(checks) == 9
    assert [check for check in checks if not check.right] == []
