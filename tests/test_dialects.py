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
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
DTYPES = ("bool", *INTEGERS, *FLOATS, *COMPLEX)


def numbers(rng, shape, dtype):
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        return rng.integers(0 if dtype.kind == "u" else -9, 10, shape).astype(dtype)
    values = rng.standard_normal(shape)
    if dtype.kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def whole_range(rng, shape, dtype):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


def one_holds_the_other(shape, taps):
    pairs = list(zip(shape, taps, strict=True))
    return all(a >= b for a, b in pairs) or all(a <= b for a, b in pairs)


def assert_same(got, wanted, single=False):
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    if wanted.dtype.kind in "iub":
        np.testing.assert_array_equal(got, wanted)
    else:
        single = single or wanted.dtype in (np.float32, np.complex64)
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
       st.sampled_from((*DTYPES, "float16")), st.sampled_from((*DTYPES, "float16")),
       st.sampled_from(["convolve", "correlate", "fftconvolve", "oaconvolve"]))  # fmt: skip
def test_scipy_signal(rank, data, mode, seed, x_dtype, k_dtype, function):
    rng = np.random.default_rng(seed)
    shape = data.draw(st.tuples(*[lengths] * rank))
    taps = data.draw(st.tuples(*[lengths] * rank))
    if mode == "valid" and not one_holds_the_other(shape, taps):
        return
    if "float16" in (x_dtype, k_dtype) and not function.endswith("fftconvolve"):
        return  # summed in float16 there, in float32 here
    if x_dtype == k_dtype == "bool" and function in ("convolve", "correlate"):
        return  # "Unsupported type" there, but for some methods that it may choose
    x, k = numbers(rng, shape, x_dtype), numbers(rng, taps, k_dtype)
    given_mode = {} if mode is None else {"mode": mode}
    assert_same(
        faltung.convolve(x, k, dialect=f"scipy.signal.{function}", **given_mode),
        getattr(scipy.signal, function)(x, k, **given_mode),
        single=True if x_dtype != k_dtype else "float16" in (x_dtype, k_dtype),
    )


@given(st.tuples(lengths, lengths), st.tuples(lengths, lengths),
       st.sampled_from(["full", "same", "valid"]), st.sampled_from(["fill", "wrap", "symm", None]),
       seeds, st.sampled_from(DTYPES[1:]), st.sampled_from(DTYPES),
       st.sampled_from(["convolve2d", "correlate2d"]), st.integers(0, 3))  # fmt: skip
def test_scipy_signal_2d(shape, taps, mode, boundary, seed, x_dtype, k_dtype, function, fill):
    if mode == "valid":
        fill = 0
        if not one_holds_the_other(shape, taps):
            return
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, shape, x_dtype), numbers(rng, taps, k_dtype)
    given_boundary = {} if boundary is None else {"boundary": boundary}
    assert_same(
        faltung.convolve(x, k, dialect=f"scipy.signal.{function}", mode=mode, fill_value=fill,
                         **given_boundary),
        getattr(scipy.signal, function)(x, k, mode=mode, fillvalue=fill, **given_boundary),
    )  # fmt: skip


@given(st.integers(1, 3), st.data(), seeds,
       st.sampled_from((*INTEGERS, *FLOATS, *COMPLEX)), st.sampled_from(DTYPES),
       st.sampled_from(["reflect", "constant", "nearest", "mirror", "wrap", "grid-wrap", None]),
       st.sampled_from(["convolve", "correlate"]))  # fmt: skip
def test_scipy_ndimage(rank, data, seed, x_dtype, k_dtype, boundary, function):
    if x_dtype in INTEGERS and k_dtype in FLOATS:
        return  # refused: see below
    rng = np.random.default_rng(seed)
    shape = data.draw(st.tuples(*[lengths] * rank))
    taps = data.draw(st.tuples(*[st.integers(1, 5)] * rank))
    x, k = numbers(rng, shape, x_dtype), numbers(rng, taps, k_dtype)
    ours = {} if boundary is None else {"boundary": boundary}
    theirs = {} if boundary is None else {"mode": boundary}
    assert_same(
        faltung.convolve(x, k, dialect=f"scipy.ndimage.{function}", **ours),
        getattr(scipy.ndimage, function)(x, k, **theirs),
    )


@given(st.sampled_from(["int8", "uint8", "int16", "uint16"]), st.integers(1, 5), seeds,
       st.sampled_from(["convolve", "correlate", "convolve1d", "correlate1d"]),
       st.sampled_from(["int64", "float64"]))  # fmt: skip
def test_scipy_ndimage_wraps_small_integers(dtype, taps, seed, function, k_dtype):
    rng = np.random.default_rng(seed)
    x, k = whole_range(rng, 9, dtype), rng.integers(-9, 10, taps).astype(k_dtype)
    assert_same(
        faltung.convolve(x, k, dialect=f"scipy.ndimage.{function}"),
        getattr(scipy.ndimage, function)(x, k),
    )


@pytest.mark.parametrize("function", ["convolve", "correlate1d"])
def test_scipy_ndimage_casts_that_c_leaves_open_are_refused(function):
    name = f"scipy.ndimage.{function}"
    with pytest.raises(OverflowError, match="int32 holds"):
        faltung.convolve(np.full(5, 2**31 - 1, np.int32), [1, 1, 1], dialect=name)
    with pytest.raises(ValueError, match="beyond 2"):
        faltung.convolve(np.full(5, 2**60), [1, 1, 1], dialect=name)
    with pytest.raises(ValueError, match="lowest 8 bits"):
        faltung.convolve(np.ones(5, bool), [1, -1, 1], dialect=name)
    wide = faltung.convolve(np.full(5, 2**60), [1, 1, 1], dialect=name, dtype="int64")
    assert wide.tolist() == [3 * 2**60] * 5


@given(st.tuples(lengths, lengths), lengths, st.sampled_from([0, 1, -1]), seeds,
       st.sampled_from(["convolve1d", "correlate1d"]), st.sampled_from((*FLOATS, *COMPLEX)),
       st.sampled_from((*FLOATS, *COMPLEX)))  # fmt: skip
def test_scipy_ndimage_along_one_axis(shape, taps, axis, seed, function, x_dtype, k_dtype):
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, shape, x_dtype), numbers(rng, taps, k_dtype)
    assert_same(
        faltung.convolve(x, k, dialect=f"scipy.ndimage.{function}", axes=axis),
        getattr(scipy.ndimage, function)(x, k, axis=axis),
    )


def test_scipy_ndimage_fractions_of_integers_are_refused():
    with pytest.raises(ValueError, match="convert the input to a float"):
        faltung.convolve(np.ones(5, int), [0.5, 0.5], dialect="scipy.ndimage.convolve")


@given(st.integers(1, 12), st.integers(1, 12), st.tuples(st.integers(1, 7), st.integers(1, 7)),
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
        x = whole_range(rng, shape, dtype)
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


@given(st.integers(1, 3), st.data(), st.sampled_from((*FLOATS, *COMPLEX)), seeds)
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


@given(st.sampled_from(["uint8", "int32", "int64"]), seeds)
def test_torch_integers_wrap(dtype, seed):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(seed)
    x, k = whole_range(rng, (2, 9), dtype), numbers(rng, 4, dtype)
    wanted = torch.nn.functional.conv1d(
        torch.from_numpy(x[:, None]), torch.from_numpy(k[None, None])
    )
    got = faltung.convolve(x, k, dialect="torch.nn.functional.conv1d")
    assert_same(got, wanted.numpy()[:, 0])


@given(st.integers(1, 3), st.data(), st.sampled_from(FLOATS), st.booleans(), seeds)
def test_onnx(rank, data, dtype, same, seed):
    pytest.importorskip("onnx", reason="onnx is not installed")
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(seed)
    taps = data.draw(st.tuples(*[st.integers(1, 4)] * rank))
    stride = (1,) * rank if same else data.draw(st.tuples(*[st.integers(1, 3)] * rank))
    dilation = (1,) * rank if same else data.draw(st.tuples(*[st.integers(1, 2)] * rank))
    shape = tuple(d * (t - 1) + data.draw(st.integers(1, 5))
                  for d, t in zip(dilation, taps, strict=True))  # fmt: skip
    x, k = numbers(rng, (2, *shape), dtype), numbers(rng, taps, dtype)
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    value = [helper.make_tensor_value_info(n, kind, None) for n in "xky"]
    padding = {"auto_pad": "SAME_UPPER"} if same else {}
    node = helper.make_node(
        "Conv", ["x", "k"], ["y"], strides=stride, dilations=dilation, **padding
    )
    graph = helper.make_graph([node], "conv", value[:2], value[2:])
    model = ReferenceEvaluator(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    )
    (wanted,) = model.run(None, {"x": x[:, None], "k": k[None, None]})
    given_mode = {"mode": "same"} if same else {}
    got = faltung.convolve(
        x, k, dialect="onnx.Conv", stride=stride, dilation=dilation, **given_mode
    )
    assert_same(got, wanted[:, 0])


@pytest.mark.parametrize("steps", [{"stride": 2}, {"dilation": 2}])
def test_padding_that_no_anchor_gives_is_refused(steps):
    with pytest.raises(ValueError, match="pad the input"):
        faltung.convolve(np.ones(9), np.ones(4), dialect="onnx.Conv", mode="same", **steps)


@given(st.integers(1, 2), st.data(), st.sampled_from(["fill", "extend", "wrap", None]), seeds,
       st.booleans(), st.sampled_from(["int16", "float16", *FLOATS]),
       st.sampled_from(["int16", *FLOATS]))  # fmt: skip
def test_astropy(rank, data, boundary, seed, gaps, x_dtype, k_dtype):
    convolution = pytest.importorskip("astropy.convolution", reason="astropy is not installed")
    rng = np.random.default_rng(seed)
    taps = data.draw(st.tuples(*[st.sampled_from([1, 3, 5])] * rank))
    shape = data.draw(st.tuples(*[st.integers(1, 12)] * rank))
    x, k = numbers(rng, shape, x_dtype), (10 * rng.random(taps) + 1).astype(k_dtype)
    if gaps and x.dtype.kind == "f":
        x[rng.random(shape) < 0.2] = np.nan
    given_boundary = {} if boundary is None else {"boundary": boundary}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy warns where nothing but NaN lies under the kernel
        wanted = convolution.convolve(x, k, **given_boundary)
    got = faltung.convolve(x, k, dialect="astropy.convolution.convolve", **given_boundary)
    if x_dtype == "float16":
        assert got.dtype == wanted.dtype
        np.testing.assert_allclose(got.astype(float), wanted.astype(float), rtol=2e-3, atol=2e-3)
    else:
        assert_same(got, wanted, single="float32" in (x_dtype, k_dtype))


def test_astropy_kernels_that_cannot_be_normalised_are_refused():
    convolution = pytest.importorskip("astropy.convolution", reason="astropy is not installed")
    for kernel in ([1.0, -2.0, 1.005], [-1.0, -1.0, -1.0]):
        with pytest.raises(ValueError, match="normalized"):
            convolution.convolve(np.ones(5), kernel)
        with pytest.raises(ValueError, match="sum"):
            faltung.convolve(np.ones(5), kernel, dialect="astropy.convolution.convolve")


def test_astropy_interpolation_under_negative_taps_is_refused():
    with pytest.raises(ValueError, match="fill the gaps"):
        faltung.convolve(
            [1.0, np.nan, 2.0], [-1.0, 3.0, -1.0], dialect="astropy.convolution.convolve"
        )


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.sampled_from([(3, 3), (1, 3), (5, 5)]),
       st.sampled_from(["reflect", "constant", "nearest", "mirror", "wrap", None]),
       st.sampled_from(["uint8", "float16", *FLOATS]), seeds)  # fmt: skip
def test_skimage(shape, taps, boundary, dtype, seed):
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, shape, dtype), rng.standard_normal(taps)
    ours = {} if boundary is None else {"boundary": boundary}
    theirs = {} if boundary is None else {"mode": boundary}
    assert_same(
        faltung.convolve(x, k, dialect="skimage.filters.correlate_sparse", **ours),
        filters.correlate_sparse(x, k, **theirs),
    )


@given(st.tuples(st.integers(4, 9), st.integers(4, 9)), st.tuples(*[st.integers(1, 4)] * 2), seeds)
def test_skimage_valid(shape, taps, seed):
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    rng = np.random.default_rng(seed)
    x, k = rng.standard_normal(shape), rng.standard_normal(taps)
    assert_same(
        faltung.convolve(x, k, dialect="skimage.filters.correlate_sparse", mode="valid"),
        filters.correlate_sparse(x, k, mode="valid"),
    )


@pytest.mark.parametrize(("dialect", "words"), [
    ("scipy.ndimage.convolve", ("nearest", "edge")),
    ("scipy.ndimage.convolve", ("reflect", "symmetric")),
    ("cv2.filter2D", ("replicate", "edge")),
    ("cv2.filter2D", ("BORDER_REFLECT", "symmetric")),
    ("scipy.signal.convolve2d", ("symm", "symmetric")),
    ("astropy.convolution.convolve", ("extend", "edge")),
])  # fmt: skip
def test_boundaries_in_their_words_and_in_ours(dialect, words):
    x, k = np.arange(20.0).reshape(4, 5) ** 2, np.arange(1.0, 10.0).reshape(3, 3)
    theirs, ours = (faltung.convolve(x, k, dialect=dialect, boundary=word) for word in words)
    np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize("given_too", [
    {"anchor": 0}, {"dilation": 2}, {"fill_value": 1}, {"weights": np.ones(2)},
    {"missing": "ignore"},
])  # fmt: skip
def test_what_belongs_to_one_role_is_refused_where_the_roles_are_swapped(given_too):
    with pytest.raises(ValueError, match="longer one first"):
        faltung.convolve(np.ones(2), np.ones(5), dialect="numpy.convolve", **given_too)


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
    {"dialect": "astropy.convolution.convolve", "boundary": None},
    {"dialect": "numpy.convolve"},
    {"dialect": "scipy.ndimage.convolve1d"},
    {"dialect": "torch.nn.functional.conv1d"},
])  # fmt: skip
def test_what_a_function_has_not_is_refused_in_one_line(call):
    with pytest.raises(
        ValueError, match=r"use one of|Did you mean|odd|kernel with 1 axes"
    ) as raised:
        faltung.convolve(np.ones((4, 4)), np.ones((2, 2)), **call)
    assert "\n" not in str(raised.value)


def test_every_dialect_has_a_test():
    assert len(dialects.names()) == 19
