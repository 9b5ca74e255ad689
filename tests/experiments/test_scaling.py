"""What is predicted of more devices: sums done by hand."""

import pytest

from experiments.benchmarks.scaling import Machine, Traffic, predict, traffic

HLO = """
  %a = f32[2,64]{1,0} all-reduce(%x), to_apply=%sum, metadata={op_name="jit(mapped)/jvp(ResNet)/bn1/psum"}
  %b = (f32[2,64]{1,0}, f32[8]{0}) all-reduce(%y, %z), metadata={op_name="jit(mapped)/transpose(jvp(ResNet))/bn1/psum"}
  %c = (f32[7,7,3,64]{3,2,1,0}, f32[]) all-reduce(%g, %l), to_apply=%sum, metadata={op_name="jit(mapped)/psum"}
  %d = f32[9]{0} add(%p, %q), metadata={op_name="jit(mapped)/add"}
"""


def test_bytes_are_read_off_the_compiled_step():
    assert traffic(HLO) == Traffic((4 * 128, 4 * (128 + 8)), 4 * (7 * 7 * 3 * 64 + 1))


def test_a_step_is_compute_gradients_and_statistics():
    machine = Machine("mine", peak=1.0, near=100.0, far=10.0, latency=0.5)
    near = predict(machine, 8, 30.0, Traffic((0, 0), 800))
    assert near["gradients"] == pytest.approx(2 * 7 / 8 * 800 / 100 + 14 * 0.5)
    assert near["statistics"] == pytest.approx(2 * 6 * 0.5)  # two trees of three levels, up and down
    assert near["step"] == pytest.approx(30 + 21 + 6)
    assert near["overlapped"] == pytest.approx(30 + 1 + 6)  # 20 of 21 seconds lie behind the backward pass
    assert predict(machine, 16, 30.0, Traffic((), 800))["gradients"] == pytest.approx(2 * 15 / 16 * 800 / 10 + 30 * 0.5)
