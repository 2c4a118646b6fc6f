"""Convolutions as matrices, and the way back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, ndimage, sparse
from strategies import geometries, numbers

import faltung

OPERATIONS = ("convolve", "correlate")
few = geometries(ranks=(1, 2), batch=False)


@settings(max_examples=150)
@given(st.sampled_from(OPERATIONS), geometries(ranks=(1, 2)),
       st.sampled_from(["int16", "float64", "complex128"]), st.integers(0, 99))  # fmt: skip
def test_the_matrix_is_the_plan_and_its_transpose_the_adjoint(operation, geometry, dtype, seed):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, shape, dtype), numbers(rng, taps, dtype)
    plan = faltung.plan(shape, dtype, k, operation=operation, **options)
    matrix = plan.matrix()
    y = numbers(rng, plan.shape, dtype)
    assert matrix.shape == (y.size, x.size)
    forward, back = matrix @ x.ravel(), matrix.conj().T @ y.ravel()
    if dtype == "int16":
        assert (forward == plan(x).ravel()).all()
        assert (back == plan.adjoint(y).ravel()).all()
    else:
        limit = 1e-13 * (1 + np.abs(k).sum()) * 10
        np.testing.assert_allclose(forward, plan(x).ravel(), atol=limit)
        np.testing.assert_allclose(back, plan.adjoint(y).ravel(), atol=limit)


def test_the_pullback_is_the_transpose():
    rng = np.random.default_rng(0)
    x, k = rng.random((6, 7)), rng.random((3, 4))
    options = {"boundary": ("wrap", "edge"), "stride": (1, 2)}
    y, pullback = faltung.vjp(x, k, **options)
    dy = rng.random(y.shape)
    matrix = faltung.plan(x.shape, x.dtype, k, **options).matrix()
    np.testing.assert_allclose(pullback(dy, wrt="x").ravel(), matrix.T @ dy.ravel())


def test_the_matrices_are_scipy_s():
    k = np.array([1.0, 2, 3])
    full = faltung.plan(5, "f8", k, mode="full").matrix().toarray()
    assert (full == linalg.convolution_matrix(k, 5, "full")).all()
    circulant = faltung.plan(3, "f8", k, anchor=0, boundary="wrap").matrix().toarray()
    assert (circulant == linalg.circulant(k)).all()
    eye = np.eye(6)
    mirrored = np.stack([ndimage.convolve1d(e, k, mode="reflect") for e in eye], axis=1)
    assert (faltung.plan(6, "f8", k, boundary="symmetric").matrix().toarray() == mirrored).all()


@settings(max_examples=25)
@given(st.sampled_from(OPERATIONS), few, st.integers(0, 99))
def test_every_matrix_of_a_convolution_is_recognised(operation, geometry, seed):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    k = rng.integers(1, 9, taps)
    size = tuple(d * (n - 1) + 1 for d, n in zip(options["dilation"], taps, strict=True))
    plan = faltung.plan(shape, "int64", k, operation=operation, **options)
    matrix = plan.matrix()
    # twice as long as the kernel, in the order of the axes: the middle row shows all of it
    shape = tuple(max(shape[a], 2 * n + 2 * options["stride"][options["axes"].index(a)])
                  for a, n in sorted(zip(options["axes"], size, strict=True)))  # fmt: skip
    plan = faltung.plan(shape, "int64", k, operation=operation, **options)
    matrix = plan.matrix()
    if np.prod(size) > 100 or np.prod(shape) > 1000 or 1 in plan.shape:
        return
    match = faltung.from_matrix(matrix, shape, axes=options["axes"], operation=operation)
    if options["anchor"] is None:
        assert match.found
    if match.found:
        again = faltung.plan(shape, "float64", match.kernel, **match.options).matrix()
        assert again.shape == matrix.shape
        assert abs(again - matrix).max() < 1e-9


def test_what_is_found_is_told_in_the_operator_s_words():
    k = np.array([[1, 0, 2], [0, 3, 4]])
    plan = faltung.plan((9, 11), "int64", k, boundary=("edge", "wrap"), dilation=(2, 1))
    match = faltung.from_matrix(plan.matrix(), (9, 11))
    assert match.found
    assert match.residual < 1e-12
    assert match.kernel.tolist() == k.tolist()
    assert match.kernel.dtype == np.int64
    assert match.options == {
        "operation": "convolve", "mode": "same", "boundary": ("edge", "wrap"), "anchor": (0, 1),
        "axes": (0, 1), "stride": (1, 1), "dilation": (2, 1),
    }  # fmt: skip
    assert repr(match).startswith("<convolve with 2x3, same, edge, wrap, dilation (2, 1); resid")


def test_batches_and_strides_are_recognised():
    plan = faltung.plan((3, 12), "f8", [1.0, 2.0, 5.0], stride=3, boundary="reflect")
    match = faltung.from_matrix(plan.matrix().toarray(), (3, 12), axes=1)
    assert match.found
    assert match.kernel.round(12).tolist() == [1, 2, 5]
    assert match.options["stride"] == (3,)


def test_a_matrix_that_is_none_says_where():
    matrix = faltung.plan((5, 6), "f8", np.ones((3, 3)), boundary="symmetric").matrix().toarray()
    matrix[8, 7] += 0.5
    match = faltung.from_matrix(matrix, (5, 6))
    assert not match.found
    output, sample, entry, other = match.difference
    assert abs(entry - other) > 1e-3
    assert matrix[np.ravel_multi_index(output, (5, 6)), np.ravel_multi_index(sample, (5, 6))]
    assert "no convolution" in repr(match)
    noise = np.random.default_rng(0).normal(0, 1e-3, matrix.shape)
    assert faltung.from_matrix(matrix - 0 + noise, (5, 6), size=3, boundary="symmetric",
                               mode="same").residual < 0.1  # fmt: skip
    clean = faltung.plan((5, 6), "f8", np.ones((3, 3)), boundary="reflect").matrix().toarray()
    near = faltung.from_matrix(clean + noise, (5, 6), tolerance=0.02)
    assert near.found
    assert near.options["boundary"] == ("reflect", "reflect")
    np.testing.assert_allclose(near.kernel, 1, atol=1e-3)
    assert not faltung.from_matrix(np.random.default_rng(1).random((6, 6)), 6).found


def test_a_toeplitz_matrix_is_a_convolution_however_far_it_reaches():
    rng = np.random.default_rng(0)
    assert faltung.from_matrix(linalg.toeplitz(rng.random(7), rng.random(7)), 7).found
    assert faltung.from_matrix(linalg.circulant(rng.random(7)), 7).options["boundary"] == ("wrap",)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: faltung.plan((4000, 4000), "f4", np.ones((9, 9))).matrix(), "max_memory=1,073,741"),
    (lambda: faltung.plan(4, "f4", [1], weighted=True).matrix(), "vjp"),
    (lambda: faltung.plan(4, object, [1]).matrix(), "Python objects"),
    (lambda: faltung.from_matrix(np.ones((3, 4)), 3), "3 columns"),
    (lambda: faltung.from_matrix(np.zeros((3, 3)), 3), "zeros"),
    (lambda: faltung.from_matrix(np.full((3, 3), np.nan), 3), "finite"),
    (lambda: faltung.from_matrix(np.ones((4, 3)), 3, mode="valid"), "in mode='valid'"),
    (lambda: faltung.from_matrix(sparse.eye(3), 3, mode="most"), "unknown"),
])  # fmt: skip
def test_errors_say_what_to_do(call, words):
    with pytest.raises(ValueError, match=words):
        call()
