"""Exact integers of any size: every bit, and every overflow, against Python's integers."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import INTEGERS, LAYOUTS, geometries, laid_out, numbers

import faltung
from faltung import fourier, limbs, reference
from faltung.problem import Options, build

METHODS = ("wide", "wide_fft")
WIDE = ("int32", "uint32", "int64", "uint64")
RESULTS = (None, "int64", "uint64", "int32", "uint8", "float64", "object", "bool")


def drawn(rng, shape, dtype, bits):
    """Draw integers of at most so many bits, the ends of the range more often than by chance."""
    info = np.iinfo(dtype)
    low, high = max(int(info.min), -(1 << bits)), min(int(info.max), (1 << bits) - 1)
    array = rng.integers(low, high, shape, dtype=dtype, endpoint=True)
    array[rng.random(shape) < 0.2] = high
    array[rng.random(shape) < 0.1] = low
    array[rng.random(shape) < 0.3] = 0
    return array


def assert_exact(operation, x, k, method, **options):
    """Compare with Python's integers: the same numbers, or an OverflowError in both."""
    call = getattr(faltung, operation)
    plan = build(operation, x.shape, x.dtype, k, Options(**options)).arithmetic
    wanted = None
    try:
        wanted = getattr(reference, operation)(
            x.astype(object), k.astype(object), **{**options, "dtype": plan.result}
        )
    except OverflowError:
        with pytest.raises(OverflowError, match=r"ask for (a wider dtype|dtype='uint64')"):
            call(x, k, method=method, **options)
        return
    for workers in (1, 3):
        y = call(x, k, method=method, workers=workers, **options)
        assert y.dtype == plan.result
        assert y.shape == wanted.shape
        assert (y == wanted).all()


@settings(max_examples=1000)
@given(st.sampled_from(["convolve", "correlate"]), geometries(), st.sampled_from(WIDE),
       st.sampled_from(INTEGERS), st.sampled_from(LAYOUTS), st.sampled_from(RESULTS),
       st.sampled_from(["raise", "saturate", "wrap"]), st.sampled_from([0, 1, 2**31 - 1]),
       st.sampled_from([8, 31, 64]), st.sampled_from([4, 20, 64]), st.sampled_from(METHODS),
       st.integers(0, 999))  # fmt: skip
def test_integers_of_any_size(operation, geometry, x_type, k_type, layout, result, overflow, fill,
                              x_bits, k_bits, method, seed):  # fmt: skip
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x = laid_out(drawn(rng, shape, x_type, x_bits), layout)
    k = drawn(rng, taps, k_type, k_bits)
    if method == "wide_fft" and k.size == 1:
        method = "auto"
    assert_exact(operation, x, k, method, fill_value=fill, dtype=result, overflow=overflow,
                 **options)  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("overflow", ["raise", "saturate", "wrap"])
@pytest.mark.parametrize("total", [
    2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64, -1, 0, -(2**64), 2**64 + 2**63,
    3 * 2**62, 2**65, 2**64 + 5, -(2**64) + 5,
])  # fmt: skip
@pytest.mark.parametrize("result", ["int64", "uint64", "int8", "float64"])
@pytest.mark.parametrize("tap", [3, 2**60])
def test_sums_just_inside_and_just_beyond_the_range(method, overflow, total, result, tap):
    # total = 2**40 * high + low, between neighbours that are larger still and cancel
    high, low = divmod(total, 2**40)
    x = np.array([2**62, high, low, 2**62], "int64")
    k = np.array([tap, 2**40, 1, -tap], "int64")
    assert (x.astype(object) * k.astype(object)).sum() == total
    assert_exact("correlate", x, k, method, mode="valid", dtype=result, overflow=overflow)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [1, 7, 8, 16, 17, 48])
def test_small_differences_of_great_samples(method, step):
    # the samples' narrow range bounds the sums well, and says nothing of the products in them
    x = 2**62 + np.array([0, step, 0, 0, 9000, 9000 + step], "int64")
    for overflow in ("raise", "saturate", "wrap"):
        for tap in (2**60, -(2**60)):
            k = np.array([tap, -tap], "int64")
            assert_exact("convolve", x, k, method, mode="valid", overflow=overflow)
            assert_exact("convolve", x[:4], k, method, mode="valid", overflow=overflow)
        k = np.array([2**60, 0, 0, -(2**60)], "int64")
        assert_exact("convolve", x[:4], k, method, boundary="edge", overflow=overflow)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("x_type", ["int64", "uint64"])
@pytest.mark.parametrize("overflow", ["saturate", "wrap", "raise"])
def test_sums_beyond_127_bits_keep_their_sign(method, x_type, overflow):
    top = np.iinfo(x_type).max
    x = np.zeros(400, x_type)
    x[50:150], x[200:300:2] = top, np.iinfo(x_type).min
    x[310] = 3
    for taps in ([top] * 50, [top, 0, 0, 0, top] * 8):
        k = np.array(taps, x_type)
        assert_exact("convolve", x, k, method, overflow=overflow, dtype=x_type)
        assert_exact("convolve", x, k, method, overflow=overflow, dtype="float64")
    k = np.array([-(2**63), 2**63 - 1, 5, -(2**63)], "int64")
    assert_exact("convolve", x, k, method, overflow=overflow, dtype="int64")


@pytest.mark.parametrize(("shape", "taps", "options"), [
    ((70_000,), (901,), {"boundary": "reflect"}),
    ((30_000,), (2_000,), {"stride": 3, "dilation": 2, "mode": "full"}),
    ((600, 500), (31, 20), {"boundary": ("edge", "wrap")}),
    ((40, 9_000), (300,), {}),
    ((9_000, 40), (300,), {"axes": (0,), "anchor": 3}),
    ((3, 50, 400, 30), (7, 60), {"axes": (1, 2), "stride": (2, 1)}),
    ((400, 300, 3), (5, 5), {"axes": (1, 0)}),
    ((90, 80, 70), (3, 4, 5), {"mode": "valid"}),
    ((9_000, 50), (1, 40), {"stride": (3, 1)}),
])  # fmt: skip
@pytest.mark.parametrize("bits", [(16, 8), (31, 31), (63, 63)])
def test_blocks_of_long_inputs(monkeypatch, shape, taps, options, bits):
    from faltung.methods import wide, wide_fft

    rng = np.random.default_rng(5)
    x, k = (rng.integers(-(2**b), 2**b, n) for n, b in zip((shape, taps), bits, strict=True))
    call = {"overflow": "wrap", **options}
    x = x.astype("int64")
    wanted = reference.convolve(x, k.astype("int64"), **call)
    y = faltung.convolve(x, k, method="wide", **call)
    assert (y == wanted).all()
    assert (faltung.convolve(x, k, method="wide_fft", **call) == wanted).all()
    # small blocks: several of them, and pieces of the batches
    monkeypatch.setattr(wide, "BLOCK", 3000)
    monkeypatch.setattr(wide_fft, "MOST", 4096)
    wide_fft.sizes.cache_clear()
    saturated = [
        faltung.plan(shape, "int64", k, method=m, **{**call, "overflow": "saturate"})(x)
        for m in METHODS
    ]
    wide_fft.sizes.cache_clear()
    assert (saturated[0] == saturated[1]).all()
    inside = np.abs(saturated[0].astype(float)) < 2.0**63
    assert (saturated[0][inside] == wanted[inside]).all()


def test_transforms_stay_within_their_bound():
    from faltung.methods import wide_fft

    rng = np.random.default_rng(0)
    for t in (8, 14, 17):
        n = 1 << t
        x, k = rng.integers(-(2**11), 2**11, n), rng.integers(-(2**11), 2**11, n // 2)
        bound = wide_fft.error(n, 12, 1, *wide_fft.norms([k.astype(float)]))
        spectra = np.fft.rfft(x) * np.fft.rfft(k, n)
        y = fourier.inverse(spectra, (n,), (0,), 1, True)
        exact = np.fft.irfft(np.fft.rfft(x % 2**6) * np.fft.rfft(k, n))
        exact = np.rint(exact) + 64 * np.rint(np.fft.irfft(np.fft.rfft(x >> 6) * np.fft.rfft(k, n)))
        assert np.abs(y - exact).max() < bound


@pytest.mark.parametrize("seed", range(20))
def test_limbs_are_the_numbers(seed):
    rng = np.random.default_rng(seed)
    for dtype in ("int64", "uint64", "uint8"):
        x = drawn(rng, 50, dtype, 64)
        width = limbs.width(int(x.min()), int(x.max()))
        for bits in range(2, 31):
            count = -(-width // bits)
            found = limbs.cut(x, bits, count)
            assert max(np.abs(limb).max() for limb in found) <= 2 ** (bits - 1)
            total = sum(limb.astype(int).astype(object) << bits * i for i, limb in enumerate(found))
            assert (total == x.astype(object)).all()


def test_the_words_of_sums():
    rng = np.random.default_rng(3)
    for shift in (2, 7, 16, 21, 31, 32, 33, 53):
        for count in range(1, 200 // shift):
            diagonals = [drawn(rng, 40, "int64", 57) for _ in range(count)]
            low, beyond = limbs.words(diagonals, shift)
            total = sum(d.astype(object) << shift * i for i, d in enumerate(diagonals))
            assert (low.view("uint64") == total % 2**64).all()
            high = total // 2**64
            small = np.abs(high) < 2**8
            assert (beyond[small] == high[small]).all()
            assert (np.sign(beyond[~small]) == np.sign(high[~small])).all()
            assert (np.abs(beyond[~small]) > 1).all()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bits", [(8, 8), (16, 40), (63, 10), (63, 63)])
def test_transforms_of_the_greatest_numbers(sign, bits):
    # every limb at an end of its range, all of one sign: the greatest sums there are
    rng = np.random.default_rng(2)
    for pattern in (-1, 0x5555555555555555, 0x7F7F7F7F7F7F7F7F, int(rng.integers(2**62))):
        x = np.full(50_000, sign * (pattern % 2 ** bits[0]), "int64")
        k = np.full(20_000, pattern % 2 ** bits[1], "int64")
        x[rng.integers(0, 50_000, 3)] -= 1
        k[rng.integers(0, 20_000, 3)] -= 1
        call = {"overflow": "wrap", "mode": "full"}
        y = faltung.convolve(x, k, method="wide_fft", **call)
        assert (y == faltung.convolve(x, k, method="wide", **call)).all()
        call["overflow"] = "saturate"
        y = faltung.convolve(x, k, method="wide_fft", **call)
        near = faltung.convolve(x.astype(float), k.astype(float), mode="full")
        assert np.allclose(y, np.clip(near, -(2.0**63), 2.0**63), rtol=1e-9)


@pytest.mark.parametrize(("method", "shape", "taps"), [
    ("wide", (900, 3000), (9, 9)),
    ("wide", (900, 3000), (1, 300)),
    ("wide_fft", (900, 3000), (1, 300)),
    ("wide_fft", (900, 3000), (300, 1)),
    ("wide_fft", (1500, 1500), (40, 40)),
    ("wide_fft", (400_000,), (30_000,)),
])  # fmt: skip
def test_scratch_memory_is_bounded(method, shape, taps):
    rng = np.random.default_rng(4)
    x, k = drawn(rng, shape, "int64", 64), drawn(rng, taps, "int64", 4)
    plan = faltung.plan(shape, "int64", k, method=method, overflow="saturate")
    out = np.empty(plan.shape, plan.dtype)
    tracemalloc.start()
    plan(x, out=out, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 72e6


def test_numbers_are_drawn_over_the_whole_range():
    assert numbers(np.random.default_rng(0), 1000, "int64", small=False).max() > 2**62
