"""Every float method's stated bound, against inputs that are made to break it."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_fft import continued_norm
from test_separable import plan_takes, product

import faltung
from faltung import planner, reference

METHODS = ("direct", "separable", "sums", "fft", "fused_fft", "sparse", "reference")
KNOWN = tuple(m for m in METHODS if m in planner.BY_NAME)


def adversarial(rng, shape, dtype, kind):
    """Samples that make sums inexact: all of one sign or cancelling, of all magnitudes, tiny."""
    info = np.finfo(dtype)
    signs = rng.choice([-1.0, 1.0], shape)
    match kind:
        case "range":
            tens = 12 if dtype == "float32" else 100
            x = signs * 10.0 ** rng.uniform(-tens, tens, shape)
        case "cancel":
            x = np.where(np.indices(shape).sum(0) % 2, -1.0, 1.0) * (1 + rng.random(shape) * 1e-6)
        case "subnormal":
            x = signs * float(info.smallest_subnormal) * rng.integers(0, 1000, shape)
        case "spikes":
            x = rng.standard_normal(shape)
            x[rng.random(shape) < 0.05] *= 1e17 if dtype == "float64" else 1e9
        case "ones":
            x = np.full(shape, 1 + float(info.eps) * 3)
        case "large":
            x = signs * float(info.max) * 10.0 ** rng.uniform(-9, -6, shape)
    return x.astype(dtype)


@settings(max_examples=500)
@given(st.sampled_from(KNOWN), st.sampled_from([(40,), (300,), (12, 40), (40, 150), (6, 8, 40)]),
       st.sampled_from(["float32", "float64"]),
       st.sampled_from(["range", "cancel", "subnormal", "spikes", "ones", "large"]),
       st.sampled_from(["dense", "factors", "box", "comb"]), st.integers(0, 9999))  # fmt: skip
@example("fft", (300,), "float32", "spikes", "dense", 0)
@example("fused_fft", (300,), "float32", "spikes", "dense", 0)
@example("fft", (40,), "float32", "subnormal", "dense", 2)
def test_no_input_breaks_a_bound(method, shape, dtype, samples, kernel, seed):
    rng = np.random.default_rng(seed)
    taps = tuple(int(rng.integers(1, min(n, 24))) for n in shape)
    match kernel:
        case "dense":
            k = adversarial(rng, taps, dtype, rng.choice(["range", "cancel", "ones"]))
        case "factors":
            k = product(rng, taps, dtype)
        case "box":
            k = np.full(taps, rng.standard_normal(), dtype)
        case "comb":
            k = np.where(rng.random(taps) < 0.2, adversarial(rng, taps, dtype, "ones"), 0)
            k = k.astype(dtype)
    x = adversarial(rng, shape, dtype, samples)
    options = {"axes": tuple(range(len(shape))), "boundary": ("wrap",) * len(shape)}
    plan = faltung.plan(shape, dtype, k, **options)
    if not plan_takes(plan, method):
        return
    plan = faltung.plan(shape, dtype, k, method=method, **options)
    wide = np.longdouble
    wanted = reference.convolve(x.astype(wide), k.astype(wide), **options)
    if method in ("fft", "fused_fft"):
        size = continued_norm(x, k, options) * np.sqrt((k.astype(wide) ** 2).sum())
    else:
        size = reference.convolve(np.abs(x.astype(wide)), np.abs(k.astype(wide)), **options)
    if float(size.max()) > float(np.finfo(dtype).max) / 4:
        return  # sums may overflow on the way, in any order
    roundings = 64 * x.size if method in ("fft", "fused_fft") else 2 * (k.size + 1)
    slack = float(np.finfo(dtype).smallest_subnormal) * roundings  # where it is absolute
    error = np.abs(plan(x) - wanted)
    worst = float((error - plan.error_bound * size - slack).max())
    assert worst <= 0, (plan, worst)


@pytest.mark.parametrize("method", KNOWN)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stays_in_its_footprint(method, bad):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((70, 160))
    x[0, 0] = x[31, 77] = bad
    kernels = [rng.random((9, 7)), np.outer(rng.random(5) + 1, rng.random(6) + 1), np.ones((4, 9)),
               np.where(rng.random((9, 9)) < 0.1, 1.0, 0.0), -np.ones((2, 3))]  # fmt: skip
    took = 0
    for k in kernels:
        for boundary in ("constant", "wrap"):
            plan = faltung.plan(x.shape, x.dtype, k, boundary=boundary)
            if not plan_takes(plan, method):
                continue
            took += 1
            y = faltung.convolve(x, k, boundary=boundary, method=method)
            wanted = reference.convolve(x, k, boundary=boundary)
            np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))
            np.testing.assert_array_equal(np.isposinf(y), np.isposinf(wanted))
            np.testing.assert_array_equal(np.isneginf(y), np.isneginf(wanted))
    assert took
