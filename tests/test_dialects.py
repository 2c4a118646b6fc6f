"""Each dialect against the library that it speaks for."""

import warnings

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

import faltung
from faltung import dialects

lengths = st.integers(1, 9)
seeds = st.integers(0, 2**32 - 1)
DTYPES = ("uint8", "int16", "int64", "float32", "float64", "complex128")


def numbers(rng, shape, dtype):
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        return rng.integers(0 if dtype.kind == "u" else -9, 10, shape).astype(dtype)
    values = rng.standard_normal(shape)
    if dtype.kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def assert_same(got, wanted):
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    if wanted.dtype.kind in "iub":
        np.testing.assert_array_equal(got, wanted)
    else:
        single = wanted.dtype in (np.float32, np.complex64)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 if single else 1e-10)


@given(lengths, lengths, st.sampled_from(["full", "same", "valid", None]), seeds,
       st.sampled_from(DTYPES), st.sampled_from(DTYPES),
       st.sampled_from(["convolve", "correlate"]))  # fmt: skip
def test_numpy(n, taps, mode, seed, x_dtype, k_dtype, function):
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, n, x_dtype), numbers(rng, taps, k_dtype)
    given_mode = {} if mode is None else {"mode": mode}
    assert_same(
        faltung.convolve(x, k, dialect=f"numpy.{function}", **given_mode),
        getattr(np, function)(x, k, **given_mode),
    )


@given(st.integers(1, 2), st.data(), st.sampled_from(["full", "same", "valid", None]), seeds,
       st.sampled_from(DTYPES),
       st.sampled_from(["convolve", "correlate", "fftconvolve", "oaconvolve"]))  # fmt: skip
def test_scipy_signal(rank, data, mode, seed, dtype, function):
    rng = np.random.default_rng(seed)
    shape = data.draw(st.tuples(*[lengths] * rank))
    taps = data.draw(st.tuples(*[lengths] * rank))
    if mode == "valid" and not (
        all(a >= b for a, b in zip(shape, taps, strict=True))
        or all(a <= b for a, b in zip(shape, taps, strict=True))
    ):
        return
    if function in ("fftconvolve", "oaconvolve") and np.dtype(dtype).kind in "iu":
        dtype = "float64"  # these two return floats for integers
    x, k = numbers(rng, shape, dtype), numbers(rng, taps, dtype)
    given_mode = {} if mode is None else {"mode": mode}
    assert_same(
        faltung.convolve(x, k, dialect=f"scipy.signal.{function}", **given_mode),
        getattr(scipy.signal, function)(x, k, **given_mode),
    )


@given(st.tuples(lengths, lengths), st.tuples(lengths, lengths),
       st.sampled_from(["full", "same", "valid"]), st.sampled_from(["fill", "wrap", "symm", None]),
       seeds, st.sampled_from(DTYPES), st.sampled_from(["convolve2d", "correlate2d"]))  # fmt: skip
def test_scipy_signal_2d(shape, taps, mode, boundary, seed, dtype, function):
    if mode == "valid" and not all(a >= b for a, b in zip(shape, taps, strict=True)):
        return
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, shape, dtype), numbers(rng, taps, dtype)
    given_boundary = {} if boundary is None else {"boundary": boundary}
    assert_same(
        faltung.convolve(x, k, dialect=f"scipy.signal.{function}", mode=mode, **given_boundary),
        getattr(scipy.signal, function)(x, k, mode=mode, **given_boundary),
    )


@given(st.integers(1, 3), st.data(), seeds,
       st.sampled_from(["int16", "int64", "float32", "float64"]),
       st.sampled_from(["reflect", "constant", "nearest", "mirror", "wrap", None]),
       st.sampled_from(["convolve", "correlate"]))  # fmt: skip
def test_scipy_ndimage(rank, data, seed, dtype, boundary, function):
    rng = np.random.default_rng(seed)
    shape = data.draw(st.tuples(*[lengths] * rank))
    taps = data.draw(st.tuples(*[st.integers(1, 5)] * rank))
    x, k = numbers(rng, shape, dtype), numbers(rng, taps, dtype)
    ours = {} if boundary is None else {"boundary": boundary}
    theirs = {} if boundary is None else {"mode": boundary}
    assert_same(
        faltung.convolve(x, k, dialect=f"scipy.ndimage.{function}", **ours),
        getattr(scipy.ndimage, function)(x, k, **theirs),
    )


@given(st.tuples(lengths, lengths), lengths, st.sampled_from([0, 1, -1]), seeds,
       st.sampled_from(["convolve1d", "correlate1d"]))  # fmt: skip
def test_scipy_ndimage_along_one_axis(shape, taps, axis, seed, function):
    rng = np.random.default_rng(seed)
    x, k = rng.standard_normal(shape), rng.standard_normal(taps)
    assert_same(
        faltung.convolve(x, k, dialect=f"scipy.ndimage.{function}", axes=axis),
        getattr(scipy.ndimage, function)(x, k, axis=axis),
    )


def test_scipy_ndimage_fractions_of_integers_are_refused():
    with pytest.raises(ValueError, match="convert the input to a float"):
        faltung.convolve(np.ones(5, int), [0.5, 0.5], dialect="scipy.ndimage.convolve")


@given(st.integers(8, 20), st.integers(8, 20), st.tuples(st.integers(1, 5), st.integers(1, 5)),
       st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]),
       st.sampled_from(["constant", "replicate", "reflect", "reflect_101", None]),
       st.sampled_from([None, 1, 3]), seeds)  # fmt: skip
def test_opencv(height, width, taps, dtype, boundary, channels, seed):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    rng = np.random.default_rng(seed)
    shape = (height, width) if channels is None else (height, width, channels)
    if dtype.startswith("float"):
        x, k = numbers(rng, shape, dtype), numbers(rng, taps, dtype)
    else:
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
        k = rng.integers(-3, 4, taps)
    kind = -1 if boundary is None else getattr(cv2, f"BORDER_{boundary.upper()}")
    wanted = cv2.filter2D(x, -1, k.astype("float32" if dtype != "float64" else "float64"),
                          **({} if boundary is None else {"borderType": kind}))  # fmt: skip
    given_boundary = {} if boundary is None else {"boundary": boundary}
    got = faltung.convolve(x, k, dialect="cv2.filter2D", **given_boundary)
    assert_same(got, wanted.reshape(shape))


def test_opencv_rounds_a_photograph_within_one_grey_level_and_hardly_ever_elsewhere():
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    from faltung import image, kernels
    from faltung.demo import PHOTOGRAPH

    photograph = image.read(PHOTOGRAPH)
    for name in ("gaussian3", "gaussian5", "box:9", "unsharp5"):
        kernel = kernels.get(name)
        wanted = cv2.filter2D(photograph, -1, kernel.array.astype(np.float32)).astype(int)
        got = faltung.convolve(photograph, kernel, dialect="cv2.filter2D").astype(int)
        assert np.abs(got - wanted).max() <= 1
        assert (got != wanted).mean() < 0.01


@given(st.integers(1, 3), st.data(), st.sampled_from(["float32", "float64"]), seeds)
def test_torch(rank, data, dtype, seed):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(seed)
    taps = data.draw(st.tuples(*[st.integers(1, 4)] * rank))
    dilation = data.draw(st.tuples(*[st.integers(1, 2)] * rank))
    stride = data.draw(st.tuples(*[st.integers(1, 3)] * rank))
    shape = tuple(d * (t - 1) + data.draw(st.integers(1, 5))
                  for d, t in zip(dilation, taps, strict=True))  # fmt: skip
    x, k = numbers(rng, (2, *shape), dtype), numbers(rng, taps, dtype)
    function = f"conv{rank}d"
    layer = getattr(torch.nn.functional, function)
    xt, kt = torch.from_numpy(x[:, None]), torch.from_numpy(k[None, None])
    name = f"torch.nn.functional.{function}"
    assert_same(
        faltung.convolve(x, k, dialect=name, stride=stride, dilation=dilation),
        layer(xt, kt, stride=stride, dilation=dilation).numpy()[:, 0],
    )
    assert_same(
        faltung.convolve(x, k, dialect=name, mode="same"),
        layer(xt, kt, padding="same").numpy()[:, 0],
    )


@given(st.integers(1, 2), st.data(), seeds)
def test_onnx(rank, data, seed):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(seed)
    taps = data.draw(st.tuples(*[st.integers(1, 4)] * rank))
    stride = data.draw(st.tuples(*[st.integers(1, 3)] * rank))
    shape = tuple(t - 1 + data.draw(st.integers(1, 5)) for t in taps)
    x, k = numbers(rng, (2, *shape), "float32"), numbers(rng, taps, "float32")
    value = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in "xky"]
    node = helper.make_node("Conv", ["x", "k"], ["y"], strides=stride)
    graph = helper.make_graph([node], "conv", value[:2], value[2:])
    model = ReferenceEvaluator(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    )
    (wanted,) = model.run(None, {"x": x[:, None], "k": k[None, None]})
    assert_same(faltung.convolve(x, k, dialect="onnx.Conv", stride=stride), wanted[:, 0])


@given(st.integers(1, 2), st.data(), st.sampled_from(["fill", "extend", "wrap", None]), seeds,
       st.booleans())  # fmt: skip
def test_astropy(rank, data, boundary, seed, gaps):
    convolution = pytest.importorskip("astropy.convolution", reason="astropy is not installed")
    rng = np.random.default_rng(seed)
    taps = data.draw(st.tuples(*[st.sampled_from([1, 3, 5])] * rank))
    shape = data.draw(st.tuples(*[st.integers(5, 12)] * rank))
    x, k = rng.standard_normal(shape), rng.random(taps) + 0.1
    if gaps:
        x[rng.random(shape) < 0.2] = np.nan
    given_boundary = {} if boundary is None else {"boundary": boundary}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy warns where nothing but NaN lies under the kernel
        wanted = convolution.convolve(x, k, **given_boundary)
    got = faltung.convolve(x, k, dialect="astropy.convolution.convolve", **given_boundary)
    assert_same(got, wanted)


@given(st.tuples(st.integers(5, 9), st.integers(5, 9)), st.sampled_from([(3, 3), (1, 3), (5, 5)]),
       st.sampled_from(["reflect", "constant", "nearest", "mirror", "wrap", None]),
       seeds)  # fmt: skip
def test_skimage(shape, taps, boundary, seed):
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    rng = np.random.default_rng(seed)
    x, k = rng.standard_normal(shape), rng.standard_normal(taps)
    ours = {} if boundary is None else {"boundary": boundary}
    theirs = {} if boundary is None else {"mode": boundary}
    assert_same(
        faltung.convolve(x, k, dialect="skimage.filters.correlate_sparse", **ours),
        filters.correlate_sparse(x, k, **theirs),
    )


def test_what_is_given_goes_before_the_dialect():
    x, k = np.arange(5.0), np.array([1.0, 2.0])
    assert faltung.convolve(x, k, dialect="numpy.convolve").shape == (6,)
    assert faltung.convolve(x, k, dialect="numpy.convolve", mode="same").shape == (5,)
    got = faltung.convolve(x, k, dialect="numpy.convolve", dtype="float32")
    assert got.dtype == np.float32


@pytest.mark.parametrize("call", [
    {"dialect": "cv2.filter2d"},
    {"dialect": "scipy.ndimage.convolve", "mode": "full"},
    {"dialect": "scipy.signal.convolve2d", "boundary": "reflect"},
    {"dialect": "astropy.convolution.convolve"},
])  # fmt: skip
def test_what_a_function_has_not_is_refused_in_one_line(call):
    with pytest.raises(ValueError, match=r"use one of|Did you mean|odd") as raised:
        faltung.convolve(np.ones((4, 4)), np.ones((2, 2)), **call)
    assert "\n" not in str(raised.value)


def test_every_dialect_has_a_test():
    assert len(dialects.names()) == 19
