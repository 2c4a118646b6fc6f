"""A user's mistake is one line that says what was given, what is allowed and what to do."""

import numpy as np
import pytest

import faltung

X = np.arange(12.0).reshape(3, 4)
K = np.ones((2, 2))

CASES = [
    ({"k": []}, ValueError, "empty"),
    ({"k": np.ones((0, 3))}, ValueError, r"empty.*\(0, 3\)"),
    ({"k": 3.0}, ValueError, "single number"),
    ({"k": np.ones((1, 1, 1))}, ValueError, "more axes than the input"),
    ({"k": [[1, 2], [3]]}, ValueError, "no array"),
    ({"k": None}, TypeError, "k|number"),
    ({"k": "edge"}, TypeError, "kernel"),
    ({"k": np.array(["a"])}, TypeError, "k has dtype"),
    ({"x": np.array(["2020-01-01"], "datetime64[D]"), "k": [1]}, TypeError, "x has dtype"),
    ({"x": [[1, 2], [3]]}, ValueError, "x is no array"),
    ({"x": np.ma.masked_array(X, X > 3)}, TypeError, "masked.*weights"),
    ({"mode": "Same"}, ValueError, "mode='Same'.*full, same, valid"),
    ({"boundary": "mirror"}, ValueError, "boundary='mirror'.*reflect"),
    ({"boundary": ("edge",)}, ValueError, "one for each of the 2"),
    ({"boundary": 3}, ValueError, "boundary=3"),
    ({"boundary": None}, ValueError, "boundary=None"),
    ({"method": ["direct"]}, ValueError, "method="),
    ({"mode": ["same"]}, ValueError, "mode="),
    ({"stride": 2**70}, ValueError, "at most"),
    ({"dilation": 2**70}, ValueError, "at most"),
    ({"workers": 2**31}, ValueError, "from 1 to 1024"),
    ({"x": None}, TypeError, "it is None"),
    ({"x": (i for i in range(3))}, TypeError, "generator"),
    ({"x": np.array([[1, None]])}, TypeError, "no array of numbers"),
    ({"x": [1, None]}, TypeError, "it holds None"),
    ({"x": [1, {}]}, TypeError, "it holds a dict"),
    ({"x": [[1, 2], [3]]}, ValueError, "rows are of unequal length"),
    ({"k": "gaussian5"}, TypeError, "kernels.get"),
    ({"k": "sobel"}, TypeError, r"get\('sobel.x'\) or .*get\('sobel.y'\)"),
    ({"k": "edge"}, TypeError, r"get\('edge'\) or .*get\('edge-cross'\)"),
    ({"k": "nothing"}, TypeError, "faltung kernels"),
    ({"boundary": "nearest"}, ValueError, "'nearest' is 'edge' here. SciPy's 'reflect' is 'symme"),
    ({"boundary": "circular"}, ValueError, "'circular' is 'wrap' here"),
    ({"k": {1: 2}}, TypeError, "dict"),
    ({"k": np.ma.masked_array(K, K > 1)}, TypeError, "masked"),
    ({"weights": np.ma.masked_array(X, X > 3)}, TypeError, "masked"),
    ({"weights": X + 1j}, ValueError, "real weight"),
    ({"x": X.astype(object), "weights": X}, ValueError, r"not Python objects.*astype\(float\)"),
    ({"x": X.astype(object), "missing": "ignore"}, ValueError, "not Python objects"),
    ({"k": K.astype(object), "missing": "ignore"}, ValueError, "not Python objects"),
    ({"x": X.astype(object), "fill_value": [1], "tolerance": 0.1}, ValueError, "a Python number"),
    ({"x": X.astype(object), "fill_value": None}, ValueError, "a Python number"),
    ({"weights": X * 1e300}, ValueError, "greatest weight"),
    ({"x": X.astype("f4"), "k": [[1e60]]}, ValueError, "beyond float32"),
    ({"k": -K, "missing": "ignore"}, ValueError, "negative"),
    ({"k": -K, "weights": np.ones_like(X)}, ValueError, "negative"),
    ({"x": np.array([[2**64 - 1]], "u8"), "k": np.array([[1]])}, OverflowError, "uint64"),
    ({"overflow": "clip"}, ValueError, "overflow='clip'.*saturate"),
    ({"missing": "drop"}, ValueError, "missing='drop'.*ignore"),
    ({"method": "fast"}, ValueError, "method='fast'.*direct"),
    ({"dialect": "numpy.convolv"}, ValueError, "Did you mean numpy.convolve"),
    ({"stride": 0}, ValueError, "stride=0.*at least 1"),
    ({"stride": -1}, ValueError, "stride=-1"),
    ({"stride": float("nan")}, ValueError, "stride=nan"),
    ({"stride": 1.5}, ValueError, "stride=1.5"),
    ({"stride": (1, 2, 3)}, ValueError, "each of the 2"),
    ({"dilation": 0}, ValueError, "dilation=0"),
    ({"dilation": "2"}, ValueError, "dilation='2'"),
    ({"anchor": 2}, ValueError, "anchor=2.*outside"),
    ({"anchor": -1}, ValueError, "anchor=-1"),
    ({"axes": (0, 0)}, ValueError, "different axes"),
    ({"axes": (0, 2)}, ValueError, "axes=.*different axes"),
    ({"axes": 0}, ValueError, "names 1 axes"),
    ({"axes": (0, 1.5)}, ValueError, "axes="),
    ({"k": np.ones((4, 1)), "mode": "valid"}, ValueError, r"kernel \(4, 1\) on input \(3, 4\)"),
    ({"dilation": 5, "mode": "valid"}, ValueError, "dilation"),
    ({"fill_value": 1j}, ValueError, "fill_value"),
    ({"fill_value": "0"}, ValueError, "fill_value"),
    ({"fill_value": None}, ValueError, "fill_value"),
    ({"fill_value": [0]}, ValueError, "fill_value"),
    ({"x": X.astype("uint8"), "fill_value": 256}, ValueError, "fill_value=256.*uint8"),
    ({"x": X.astype("uint8"), "fill_value": 0.5}, ValueError, "fill_value=0.5"),
    ({"tolerance": -1}, ValueError, "tolerance"),
    ({"tolerance": float("nan")}, ValueError, "tolerance"),
    ({"nonnegative": True, "k": -K}, ValueError, "nonnegative"),
    ({"nonnegative": True, "x": -X}, ValueError, "nonnegative"),
    ({"nonnegative": True, "fill_value": -5}, ValueError, "nonnegative.*fill_value=-5"),
    ({"nonnegative": True, "x": X + 1j}, ValueError, "nonnegative.*real input"),
    ({"nonnegative": True, "k": K + 1j}, ValueError, "nonnegative.*real kernel"),
    ({"weights": -X}, ValueError, "at least 0"),
    ({"weights": np.full_like(X, np.nan)}, ValueError, "at least 0"),
    ({"weights": np.ones(3)}, ValueError, "weights of shape"),
    ({"weights": "heavy"}, ValueError, "weights"),
    ({"max_memory": 0}, ValueError, "max_memory=0"),
    ({"max_memory": 1.5}, ValueError, "max_memory=1.5"),
    ({"workers": 0}, ValueError, "workers=0"),
    ({"workers": 1.5}, ValueError, "workers=1.5"),
    ({"out": np.empty((3, 5))}, ValueError, r"out must be float64 \(3, 4\)"),
    ({"out": [[0.0] * 4] * 3}, TypeError, "out must be a NumPy array"),
    ({"out": np.empty((3, 4), int)}, TypeError, "dtype='int64'"),
    ({"x": X + 1j, "out": np.empty((3, 4))}, TypeError, "complex"),
    ({"x": X + 1j, "dtype": float}, TypeError, "complex"),
    ({"out": np.empty((3, 4), "float32"), "dtype": "float64"}, ValueError, "out must be float64"),
    ({"dtype": "U3"}, TypeError, "dtype"),
    ({"x": X.astype("uint8") + 250, "k": K.astype(int), "dtype": "uint8"}, OverflowError, "holds"),
    ({"x": X * np.nan, "dtype": "uint8"}, OverflowError, "NaN"),
]


@pytest.mark.parametrize(("arguments", "kind", "words"), CASES)
@pytest.mark.parametrize("operation", ["convolve", "correlate"])
def test_mistakes(arguments, kind, words, operation):
    arguments = dict(arguments)
    x, k = arguments.pop("x", X), arguments.pop("k", K)
    with pytest.raises(kind, match=words) as raised:
        getattr(faltung, operation)(x, k, **arguments)
    assert "\n" not in str(raised.value)


def test_a_fill_value_that_no_tap_meets_may_be_negative():
    y = faltung.convolve(X, K, nonnegative=True, fill_value=-5, boundary="edge")
    assert (y >= 0).all()


def test_read_only_and_overlapping_out():
    x, k = X.copy(), K.copy()
    frozen = np.empty_like(x)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        faltung.convolve(x, k, out=frozen)
    with pytest.raises(ValueError, match="overlaps the input"):
        faltung.convolve(x, k, out=x)
    buffer = np.zeros(20)
    with pytest.raises(ValueError, match="overlaps the input"):
        faltung.convolve(buffer[:12], [1.0, 2.0], out=buffer[6:18])
    with pytest.raises(ValueError, match="overlaps the kernel"):
        faltung.convolve(np.ones(4), buffer[:4], out=buffer[:4])
    assert (x == X).all()


def test_a_plan_takes_what_a_call_takes():
    masked = np.ma.masked_array(X, X > 3)
    with pytest.raises(TypeError, match="masked"):
        faltung.plan(X.shape, X.dtype, K)(masked)
    with pytest.raises(TypeError, match="masked"):
        faltung.reference.convolve(masked, K)
    with pytest.raises(ValueError, match="missing"):
        faltung.reference.convolve(X, K, missing="ignore")
    for shape, dtype in (("float64", (100,)), (X, "float64"), ([1.5], float), (5, "number")):
        with pytest.raises((TypeError, ValueError), match=r"shape|dtype"):
            faltung.plan(shape, dtype, [1.0])


@pytest.mark.parametrize(("arguments", "kind", "words"), [
    ((X, K), TypeError, r"plan\(x.shape, x.dtype, k\)"),
    ((5, None, [1.0]), TypeError, "dtype is None"),
    ((5, "U5", [1.0]), TypeError, "the input has dtype"),
    ((5, "float64"), TypeError, "k is None"),
])  # fmt: skip
def test_a_plan_says_what_it_takes(arguments, kind, words):
    with pytest.raises(kind, match=words):
        faltung.plan(*arguments)


def test_only_a_correlation_is_conjugated():
    with pytest.raises(ValueError, match="conjugate=True goes with operation='correlate'"):
        faltung.plan(5, "complex64", [1j], conjugate=True)


def test_a_plan_of_an_unknown_operation_or_shape():
    with pytest.raises(ValueError, match="operation='blur'"):
        faltung.plan(5, float, [1.0], operation="blur")
    with pytest.raises(ValueError, match="shape"):
        faltung.plan((5, -1), float, [1.0])
