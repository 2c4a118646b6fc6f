"""What a call takes besides input and output stays within ``max_memory``, however arrays lie."""

import tracemalloc

import numpy as np
import pytest
from strategies import laid_out

import faltung
from faltung import native

pytestmark = pytest.mark.skipif(not native.library(), reason="no compiled library")

LIMIT = 8_000_000
RNG = np.random.default_rng(0)
DENSE = RNG.random((5, 5), np.float32)
KERNELS = {
    "direct": DENSE,
    "separable": np.multiply.outer([1, 2, 3, 2, 1], [2, 1, 4, 1, 2]).astype(np.float32),
    "sparse": np.where(RNG.random((5, 5)) < 0.3, DENSE, np.float32(0)),
    "sums": np.ones((5, 5), np.float32),
}


def peak(x, k, out_layout="plain", weights=None, limit=LIMIT, result=None, **options):
    """Bytes that a call takes at the most, and its result."""
    plan = faltung.plan(x.shape, x.dtype, k, max_memory=limit, result_dtype=result,
                        weighted=weights is not None, **options)  # fmt: skip
    out = laid_out(np.zeros(plan.shape, plan.dtype), out_layout)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        plan(x, out=out, weights=weights)
        return tracemalloc.get_traced_memory()[1] - before, out
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", KERNELS)
@pytest.mark.parametrize(("x_layout", "out_layout"), [
    ("fortran", "plain"), ("plain", "fortran"), ("fortran", "fortran"), ("flipped", "plain"),
    ("swapped", "plain"), ("strided", "strided"),
])  # fmt: skip
def test_arrays_that_no_pipeline_takes_as_they_lie(method, x_layout, out_layout):
    x = np.random.default_rng(1).random((2000, 2100), np.float32)
    k = KERNELS[method]
    taken, y = peak(laid_out(x, x_layout), k, out_layout, method=method, boundary="reflect")
    assert taken < LIMIT
    wanted = faltung.convolve(x, k, method=method, boundary="reflect")
    np.testing.assert_allclose(y, wanted, rtol=1e-5)


@pytest.mark.parametrize("method", KERNELS)
@pytest.mark.parametrize(("x_type", "k_type", "result"), [
    ("complex64", "complex64", None), ("float32", "complex64", None),
    ("complex64", "float32", None), ("complex64", "complex128", None),
    ("complex128", "complex128", "complex64"), ("float64", "float64", "float32"),
    ("int8", "float32", None),
])  # fmt: skip
def test_numbers_that_are_converted_or_complex(method, x_type, k_type, result):
    x = (50 * np.random.default_rng(1).standard_normal((1500, 1600))).astype(x_type)
    k = KERNELS[method].astype(k_type)
    if x_type.startswith("complex"):
        x.imag = np.random.default_rng(2).random(x.shape)
    if k_type.startswith("complex"):
        k = k * k.dtype.type(1 + 0.5j)
    if method == "sparse" and x_type == "int8":
        pytest.skip("lists of taps take no int8")
    for layout in ("plain", "fortran"):
        taken, y = peak(laid_out(x, layout), k, method=method, result=result)
        assert taken < LIMIT
    part = (slice(700, 760), slice(0, 70))
    around = x[690:770, :80]
    wanted = faltung.reference.convolve(around, k, dtype=result)[10:70, :70]
    np.testing.assert_allclose(y[part], wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", KERNELS)
@pytest.mark.parametrize(("shape", "axes"), [
    ((2000, 30, 70), (0, 1)), ((1000, 30, 3, 40), (1, 3)), ((900_000, 5, 2), (1, 2)),
    ((4, 5, 300_000), (0, 1)), ((1_500_000, 7), (0, 1)), ((7, 1_500_000), (0, 1)),
])  # fmt: skip
def test_ends_that_are_copied(method, shape, axes):
    x = np.random.default_rng(1).random(shape, np.float32)
    k = KERNELS[method]
    limit = 7 * LIMIT if method == "sums" else LIMIT  # two passes keep more between them
    taken, y = peak(x, k, axes=axes, boundary="edge", method=method, limit=limit)
    assert taken < limit
    some = [slice(None)] * len(shape)
    batch = max((a for a in range(len(shape)) if a not in axes), default=None,
                key=lambda a: shape[a])  # fmt: skip
    if batch is not None:
        some[batch] = slice(-3, None)
    wanted = faltung.reference.convolve(x[tuple(some)], k, axes=axes, boundary="edge")
    np.testing.assert_allclose(y[tuple(some)], wanted, rtol=1e-5)


@pytest.mark.parametrize("method", ["direct", "separable"])
def test_channels_innermost(method):
    x = np.random.default_rng(1).random((500, 300, 70), np.float32)
    taken, y = peak(x, KERNELS[method], axes=(0, 1), method=method)
    assert taken < LIMIT
    part = (slice(100, 120), slice(200, 220), slice(3, 9))
    around = x[90:130, 190:230, 3:9]
    wanted = faltung.reference.convolve(around, KERNELS[method], axes=(0, 1))[10:30, 10:30]
    np.testing.assert_allclose(y[part], wanted, rtol=1e-5)


@pytest.mark.parametrize("options", [{"missing": "ignore"}, {"weights": True}])
@pytest.mark.parametrize("dtype", ["float32", "float16", "complex64", "uint8"])
def test_missing_and_weighted_samples_take_what_is_said(options, dtype):
    x = (9 * np.random.default_rng(1).random((1000, 900))).astype(dtype)
    weights = np.ones(x.shape) if "weights" in options else None
    options = {name: value for name, value in options.items() if name == "missing"}
    limit = 40_000_000
    plan = faltung.plan(x.shape, dtype, KERNELS["direct"], max_memory=limit,
                        weighted=weights is not None, **options)  # fmt: skip
    taken, _ = peak(x, KERNELS["direct"], weights=weights, limit=limit, **options)
    assert taken <= plan.cost().memory <= limit


@pytest.mark.parametrize(("shape", "axes", "taps"), [
    ((1, 2_000_000), (0, 1), (1, 2)), ((2_000_000, 1), (0, 1), (2, 1)),
    ((1500, 1400), (1, 0), (2, 2)), ((300_000, 7), (1,), (3,)), ((7, 300_000), (0,), (3,)),
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["longdouble", "float32"])
def test_the_reference_cuts_every_axis(shape, axes, taps, dtype):
    x = np.random.default_rng(1).random(shape).astype(dtype)
    k = np.arange(1, 1 + np.prod(taps)).reshape(taps).astype(dtype)
    taken, y = peak(x, k, axes=axes, method="reference", mode="full")
    plan = faltung.plan(shape, dtype, k, axes=axes, method="reference", mode="full",
                        max_memory=LIMIT)  # fmt: skip
    assert taken <= plan.cost().memory <= LIMIT
    problem = plan.problem
    assert (y == faltung.reference.evaluate(problem, x, y.dtype)).all()


@pytest.mark.parametrize(("x_layout", "out_layout"), [
    ("plain", "plain"), ("fortran", "plain"), ("plain", "fortran"), ("flipped", "plain"),
    ("swapped", "plain"),
])  # fmt: skip
def test_gaussians_of_any_layout(x_layout, out_layout):
    x = np.random.default_rng(1).random((4000, 4500), np.float32)
    k = faltung.kernels.gaussian(9).array.astype(np.float32)
    options = {"method": "recursive", "tolerance": 1e-2, "boundary": "reflect"}
    limit = 80_000_000
    taken, y = peak(laid_out(x, x_layout), k, out_layout, limit=limit, **options)
    plan = faltung.plan(x.shape, x.dtype, k, max_memory=limit, **options)
    assert taken <= plan.cost().memory <= limit
    wanted = faltung.convolve(x, k, method="separable", boundary="reflect")
    assert np.abs(y - wanted).max() <= 2e-2


@pytest.mark.parametrize("boundary", ["constant", "reflect"])
@pytest.mark.parametrize("x_layout", ["plain", "fortran"])
def test_kernels_that_are_long_themselves(boundary, x_layout):
    x = np.random.default_rng(1).random((900, 950), np.float32)
    k = np.random.default_rng(2).random((201, 191), np.float32)
    options = {"method": "direct", "boundary": boundary}
    plan = faltung.plan(x.shape, x.dtype, k, max_memory=LIMIT, **options)
    taken, y = peak(laid_out(x, x_layout), k, **options)
    assert taken <= plan.cost().memory <= LIMIT
    np.testing.assert_allclose(y, faltung.convolve(x, k, **options), rtol=1e-4)
