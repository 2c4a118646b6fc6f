"""The known examples of the introductions to convolution, with all their numbers."""

import doctest

import numpy as np
import pytest

import faltung
from faltung import kernels

IMAGE = np.array([[0, 3, 6, 3], [3, 6, 3, 6], [6, 3, 6, 3], [3, 6, 3, 0]])
KERNEL = np.array([[1, 0, 2], [0, 1, 0], [0, 0, 1]])

# the definition, worked by hand: the kernel times each pixel, laid down at the pixel, and added up
FULL = np.array(
    [
        [0, 3, 6, 9, 12, 6],
        [3, 6, 12, 24, 9, 12],
        [6, 6, 24, 15, 24, 9],
        [3, 12, 15, 24, 12, 6],
        [0, 3, 12, 6, 6, 3],
        [0, 0, 3, 6, 3, 0],
    ]
)


def test_full_same_and_valid_of_the_4x4_image():
    assert faltung.convolve(IMAGE, KERNEL, mode="full").tolist() == FULL.tolist()
    assert faltung.convolve(IMAGE, KERNEL).tolist() == FULL[1:5, 1:5].tolist()
    assert faltung.convolve(IMAGE, KERNEL, mode="valid").tolist() == FULL[2:4, 2:4].tolist()
    assert faltung.convolve(IMAGE, KERNEL, mode="valid").tolist() == [[24, 15], [15, 24]]


def test_the_table_above_is_the_sum_of_shifted_kernels():
    total = np.zeros((6, 6), int)
    for row in range(4):
        for column in range(4):
            total[row : row + 3, column : column + 3] += IMAGE[row, column] * KERNEL
    assert total.tolist() == FULL.tolist()


def test_the_classical_loop_drops_the_last_valid_row_and_column():
    height, width = IMAGE.shape
    kh, kw = KERNEL.shape
    result = {}
    for i in range(height - kh):  # the slip: it has to be height - kh + 1
        for j in range(width - kw):
            result[i, j] = int((IMAGE[i : i + kh, j : j + kw] * KERNEL).sum())
    ours = faltung.correlate(IMAGE, KERNEL, mode="valid")
    assert list(result) == [(0, 0)]
    assert ours.shape == (2, 2)
    assert result[0, 0] == ours[0, 0] == 24
    assert ours.tolist() == [[24, 15], [15, 24]]


def test_shifting_right_with_1_0_0_is_a_correlation_and_convolution_shifts_left():
    f = [0, 0, 0, 3, 4, 5, 4, 3, 0, 0]
    assert faltung.correlate(f, [1, 0, 0]).tolist() == [0, 0, 0, 0, 3, 4, 5, 4, 3, 0]
    assert faltung.convolve(f, [1, 0, 0]).tolist() == [0, 0, 3, 4, 5, 4, 3, 0, 0, 0]


def test_the_edge_kernel_is_0_inside_a_constant_image():
    flat = np.full((6, 7), 9, "uint8")
    edges = faltung.correlate(flat, kernels.edge)
    assert edges[1:-1, 1:-1].tolist() == [[0] * 5] * 4
    assert edges[0].tolist() == [45, 27, 27, 27, 27, 27, 45]  # beyond the ends are zeros
    assert not faltung.correlate(flat, kernels.edge, boundary="symmetric").any()


def test_two_dice():
    die = np.full(6, 1 / 6)
    ways = np.round(36 * faltung.convolve(die, die, mode="full")).astype(int)
    assert ways.tolist() == [1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1]


def test_the_valid_size_is_n_minus_k_plus_1():
    for n in range(1, 8):
        for k in range(1, n + 1):
            assert faltung.convolve(np.ones(n), np.ones(k), mode="valid").size == n - k + 1


@pytest.mark.parametrize("place", [
    *(getattr(faltung, name) for name in (
        "convolve", "correlate", "plan", "Plan", "plan_cache", "analyse", "calibrate", "workers",
        "vjp", "from_matrix", "learn_kernel",
    )),
    *(getattr(faltung.dialects, name) for name in faltung.dialects.__all__),
    *(getattr(faltung.reference, name) for name in faltung.reference.__all__),
    faltung.machine.use, faltung.machine.machine,
])  # fmt: skip
def test_examples_run_when_they_are_copied_alone(place):
    table = faltung.machine.machine()
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(verbose=False)
    for found in finder.find(place, place.__name__, module=False, globs={}):
        runner.run(found)
    faltung.machine.use(table)  # one of them calibrates
    assert runner.failures == 0
    assert runner.tries > 0 or place is faltung.dialects.Dialect


def test_every_public_name_is_listed_and_documented():
    assert dir(faltung) == sorted(faltung.__all__)
    for name in faltung.__all__:
        value = getattr(faltung, name)
        assert name == "__version__" or value.__doc__.strip()
        assert name in faltung.__doc__ or name in ("geometry", "__version__")
