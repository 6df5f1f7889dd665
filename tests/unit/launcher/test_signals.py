"""Signals become numbers in a queue, and what was there before comes back."""

from __future__ import annotations

import select
import signal

from kombu_green.launcher.signals import SignalPipe


def test_signals_wake_and_are_taken_in_order() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with SignalPipe(signal.SIGUSR1, signal.SIGUSR2) as signals:
        assert signals.take() == []
        assert select.select([signals], [], [], 0)[0] == []
        for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2):
            signal.raise_signal(number)
        assert select.select([signals], [], [], 10)[0] == [signals]
        assert signals.take() == [signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2]
        assert select.select([signals], [], [], 0)[0] == []
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_full_buffer_loses_no_signal() -> None:
    with SignalPipe(signal.SIGUSR1) as signals:
        for _ in range(5000):
            signal.raise_signal(signal.SIGUSR1)
        assert len(signals.take()) == 5000
        signal.raise_signal(signal.SIGUSR1)
        assert select.select([signals], [], [], 10)[0] == [signals]


def test_signals_that_were_blocked_before_are_taken_and_blocked_again() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        signal.raise_signal(signal.SIGUSR1)
        with SignalPipe(signal.SIGUSR1) as signals:
            assert select.select([signals], [], [], 10)[0] == [signals]
            assert signals.take() == [signal.SIGUSR1]
        assert signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
