"""The reference against loops over single numbers, and against SciPy and NumPy."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st
from strategies import BOUNDARIES, geometries, numbers

from faltung import reference


def continued(x, position, boundary, fill):
    """Look up one sample by walking, as the names of the boundaries mean it."""
    position = list(position)
    for axis, (n, kind) in enumerate(zip(x.shape, boundary, strict=True)):
        p = position[axis]
        while not 0 <= p < n:
            if kind == "constant":
                return fill
            if kind == "edge":
                p = 0 if p < 0 else n - 1
            elif kind == "wrap":
                p += n if p < 0 else -n
            elif kind == "symmetric":
                p = -1 - p if p < 0 else 2 * n - 1 - p
            elif n == 1:
                p = 0
            else:
                p = -p if p < 0 else 2 * (n - 1) - p
        position[axis] = p
    return x[tuple(position)]


def by_hand(operation, x, k, mode, boundary, fill, anchor, stride, dilation):
    """Sum up single numbers; the outputs are found by walking over all positions."""
    outputs = []
    for n, taps, a, s, d in zip(x.shape, k.shape, anchor, stride, dilation, strict=True):
        if mode == "same":
            outputs.append(range(0, n, s))
            continue
        offsets = [d * (a - j) if operation == "convolve" else d * (j - a) for j in range(taps)]
        holds = all if mode == "valid" else any
        reach = [p for p in range(-200, 200) if holds(0 <= p + o < n for o in offsets)]
        outputs.append(range(reach[0], reach[-1] + 1, s))
    y = np.zeros([len(o) for o in outputs], object)
    for i in np.ndindex(y.shape):
        for j in np.ndindex(k.shape):
            position = [
                outputs[n][i[n]]
                + dilation[n] * (anchor[n] - j[n] if operation == "convolve" else j[n] - anchor[n])
                for n in range(x.ndim)
            ]
            y[i] += k[j] * continued(x, position, boundary, fill)
    return y


@given(st.sampled_from(["convolve", "correlate"]), geometries(ranks=(1, 2), batch=False),
       st.integers(0, 99))  # fmt: skip
def test_reference_is_the_definition_in_fractions(operation, geometry, seed):
    shape, taps, options = geometry
    if np.prod(shape) * np.prod(taps) > 1500:
        shape, taps = tuple(min(n, 6) for n in shape), tuple(min(n, 5) for n in taps)
        if options["mode"] == "valid":
            options["mode"] = "same"
        options["anchor"] = None
    rng = np.random.default_rng(seed)
    x = np.vectorize(lambda n: Fraction(int(n), 7), otypes=[object])(rng.integers(-9, 9, shape))
    k = np.vectorize(lambda n: Fraction(int(n), 3), otypes=[object])(rng.integers(-9, 9, taps))
    options["axes"] = tuple(range(len(shape)))
    anchor = options["anchor"] or tuple((n - 1) // 2 for n in taps)
    wanted = by_hand(
        operation, x, k, options["mode"], options["boundary"], Fraction(5, 2), anchor,
        options["stride"], options["dilation"],
    )  # fmt: skip
    got = getattr(reference, operation)(x, k, fill_value=Fraction(5, 2), **options)
    assert got.shape == wanted.shape
    assert (got == wanted).all()


@given(st.integers(1, 3), st.data(), st.sampled_from(["full", "same", "valid"]), st.integers(0, 99))
def test_reference_is_scipy_signal(rank, data, mode, seed):
    rng = np.random.default_rng(seed)
    taps = data.draw(st.tuples(*[st.integers(1, 5)] * rank))
    shape = tuple(n + data.draw(st.integers(0, 5)) for n in taps)
    x, k = rng.standard_normal(shape), rng.standard_normal(taps)
    np.testing.assert_allclose(
        reference.convolve(x, k, mode=mode),
        scipy.signal.convolve(x, k, mode=mode, method="direct"),
        atol=1e-12,
    )
    # for even kernels "same" of SciPy's correlate takes the right one of the two middle taps
    np.testing.assert_allclose(
        reference.correlate(x, k, mode=mode, anchor=tuple(n // 2 for n in taps)),
        scipy.signal.correlate(x, k, mode=mode, method="direct"),
        atol=1e-12,
    )


@given(st.integers(1, 3), st.data(), st.integers(0, 99))
def test_reference_is_scipy_ndimage(rank, data, seed):
    rng = np.random.default_rng(seed)
    shape = data.draw(st.tuples(*[st.integers(1, 7)] * rank))
    taps = data.draw(st.tuples(*[st.integers(1, 5)] * rank))
    words = {"constant": "constant", "edge": "nearest", "symmetric": "reflect",
             "reflect": "mirror", "wrap": "wrap"}  # fmt: skip
    boundary = data.draw(st.sampled_from(BOUNDARIES))
    x, k = rng.standard_normal(shape), rng.standard_normal(taps)
    for operation in ("convolve", "correlate"):
        np.testing.assert_allclose(
            getattr(reference, operation)(
                x, k, boundary=boundary, fill_value=1.5, anchor=tuple(n // 2 for n in taps)
            ),
            getattr(scipy.ndimage, operation)(x, k, mode=words[boundary], cval=1.5),
            atol=1e-12,
        )


@pytest.mark.parametrize(("n", "taps"), list(itertools.product([1, 4, 9], [1, 2, 3, 4])))
def test_reference_is_numpy_convolve(n, taps):
    rng = np.random.default_rng(n * taps)
    x, k = numbers(rng, n, "int64"), numbers(rng, taps, "int64")
    assert reference.convolve(x, k, mode="full").tolist() == np.convolve(x, k).tolist()


def test_reference_takes_python_integers_beyond_64_bits():
    x = np.array([10**30, 1, 0], object)
    assert reference.convolve(x, [1, 10**20], mode="full").tolist() == [
        10**30, 10**50 + 1, 10**20, 0,
    ]  # fmt: skip
