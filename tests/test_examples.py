"""The known examples of the introductions to convolution, with all their numbers."""

import numpy as np

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
