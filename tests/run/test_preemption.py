"""Being asked to stop: every kind of stage asks, and what was written is whole."""

import os
import signal
import threading

import pytest

from lpjax.run import preemption


@pytest.fixture(autouse=True)
def _heard():
    """Programs that a shell starts in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_outside_training_stops_at_once_and_the_old_handler_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(preemption.Preempted) as stop, preemption.handle_preemption():
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert not preemption.preemption_requested()


def train(interrupts):
    """Stands for a training that is interrupted, asks, and saves itself."""
    asked = []
    with preemption.handle_preemption(), preemption.defer_preemption():
        for _ in range(interrupts):
            os.kill(os.getpid(), signal.SIGINT)
            asked.append(preemption.preemption_requested())
            preemption.check_preemption()  # what it does meanwhile does not stop it either
    return asked


def test_a_signal_during_training_waits_until_it_has_saved_itself():
    assert train(0) == []
    with pytest.raises(preemption.Preempted) as stop:
        train(1)
    assert stop.value.code == 130


def test_a_second_interrupt_does_not_wait():
    with pytest.raises(KeyboardInterrupt):
        train(2)


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with preemption.handle_preemption():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_no_handler_is_asked_for_outside_the_main_thread():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def nested():
        with preemption.handle_preemption(), preemption.handle_preemption():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=nested)
    thread.start()
    thread.join()
    assert seen == [before]
