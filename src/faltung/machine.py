"""The few constants of a machine that the cost of a method is predicted from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """Sensible values for one core of a current x86-64 server; a plan needs only their ratios.

    Attributes
    ----------
    multiply_adds : float
        float32 multiply-adds per second of one core in a compiled loop.
    bandwidth : float
        Bytes per second that a call reads and writes.
    cached : float
        Bytes of sums per second that one core adds up in its caches.
    transform : float
        Seconds for one float32 sample in one stage of a Fourier transform.
    call : float
        Seconds that one compiled call costs at the least.
    numpy_element : float
        Seconds for one tap on one element in plain NumPy.
    numpy_call : float
        Seconds for one tap in plain NumPy at the least.
    """

    multiply_adds: float = 4e10
    bandwidth: float = 2e10
    cached: float = 1e11
    transform: float = 0.16e-9
    call: float = 1e-5
    numpy_element: float = 3e-9
    numpy_call: float = 3e-5


MACHINE = Machine()
