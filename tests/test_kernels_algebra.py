"""The algebra of kernels: one kernel does what several do, exactly where they are exact."""

import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung
from faltung import kernels
from faltung.kernels import Kernel
from faltung.kernels.kernel import MOST

OPERATIONS = ("convolve", "correlate")


@st.composite
def kernel(draw, ndim=None, exact=None, most=4):
    """Draw a kernel: fractions, floats or a product of profiles, with any anchor."""
    ndim = draw(st.integers(1, 3)) if ndim is None else ndim
    shape = tuple(draw(st.integers(1, most)) for _ in range(ndim))
    anchor = tuple(draw(st.integers(0, n - 1)) for n in shape)
    rest = {"anchor": anchor, "operation": draw(st.sampled_from(OPERATIONS))}
    ints = st.integers(-9, 9)
    floats = st.integers(-32, 32).map(lambda n: n / 8)  # their sums and products are exact
    kinds = ["whole"] if exact else ["values", "profiles"] if exact is False else [
        "whole", "values", "profiles"]  # fmt: skip
    kind = draw(st.sampled_from(kinds))
    if kind == "whole":
        taps = tuple(draw(ints) for _ in range(math.prod(shape)))
        return Kernel("drawn", shape, taps, draw(st.integers(1, 12)), **rest)
    if kind == "values":
        taps = tuple(draw(floats) for _ in range(math.prod(shape)))
        return Kernel("drawn", shape, values=taps, **rest)
    profiles = tuple(tuple(draw(floats) for _ in range(n)) for n in shape)
    return Kernel("drawn", shape, profiles=profiles, **rest)


@st.composite
def pair(draw, exact=None, ndim=None):
    ndim = draw(st.integers(1, 2)) if ndim is None else ndim
    return draw(kernel(ndim, exact)), draw(kernel(ndim, exact))


def apply(k, x, **options):
    """Apply a kernel as it is written for."""
    return getattr(faltung, k.operation)(x, k, **options)


def samples(ndim, seed=0):
    return np.random.default_rng(seed).integers(-9, 10, (9, 8, 7)[:ndim]).astype(float)


@given(pair())
def test_composed_kernels_do_what_both_do(two):
    a, b = two
    both = a.compose(b)
    assert both.operation == a.operation
    x = samples(a.ndim)
    for mode, boundary in (("full", "constant"), ("same", "wrap")):
        wanted = apply(b, apply(a, x, mode=mode, boundary=boundary), mode=mode, boundary=boundary)
        got = apply(both, x, mode=mode, boundary=boundary)
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)
    assert both.exact == (a.exact and b.exact)


@given(pair())
def test_sums_and_differences_do_what_both_do(two):
    a, b = two
    x = samples(a.ndim, 1)
    options = {"mode": "same", "boundary": "reflect"}
    one, other = apply(a, x, **options), apply(b, x, **options)
    np.testing.assert_allclose(apply(a + b, x, **options), one + other, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(apply(a - b, x, **options), one - other, rtol=1e-9, atol=1e-9)
    assert (a + b).exact == (a.exact and b.exact)


@given(kernel(), st.one_of(st.integers(-5, 5), st.fractions(-3, 3, max_denominator=9),
                           st.sampled_from([0.5, -2.0, 1e-3])))  # fmt: skip
def test_scaling(k, scale):
    for scaled in (k * scale, scale * k):
        np.testing.assert_allclose(scaled.array, k.array * float(scale), rtol=1e-15)
        assert scaled.exact == (k.exact and not isinstance(scale, float))
        assert scaled.anchor == k.anchor
        assert scaled.operation == k.operation
    np.testing.assert_array_equal((-k).array, -k.array)
    if scale:
        np.testing.assert_allclose((k / scale).array, k.array / float(scale), rtol=1e-15)


@given(pair(exact=True))
def test_fractions_stay_exact(two):
    a, b = two

    def fractions(k):
        return [Fraction(n, k.divisor) for n in k.numerators]

    assert fractions(a * Fraction(2, 3)) == [f * Fraction(2, 3) for f in fractions(a)]
    assert sum(fractions(a + b), Fraction()) == a.total + b.total
    assert sum(fractions(a.compose(b)), Fraction()) == a.total * b.total
    assert sum(fractions(a.outer(b)), Fraction()) == a.total * b.total
    assert (a - a).numerators == (0,) * a.size
    composed = a.compose(b)
    other = b.written_for(a.operation)
    ours = np.array(fractions(a)).reshape(a.shape)
    theirs = np.array(fractions(other)).reshape(other.shape)
    wide = np.zeros(composed.shape, object) + Fraction(0)
    for i in np.ndindex(a.shape):
        for j in np.ndindex(other.shape):
            wide[tuple(m + n for m, n in zip(i, j, strict=True))] += ours[i] * theirs[j]
    assert fractions(composed) == wide.ravel().tolist()


@given(kernel())
def test_flipped_is_for_the_other_operation(k):
    x = samples(k.ndim, 2)
    other = k.flipped()
    assert other.operation != k.operation
    for mode in ("same", "full", "valid"):
        np.testing.assert_allclose(
            apply(other, x, mode=mode), apply(k, x, mode=mode), rtol=1e-12, atol=1e-12
        )
    assert other.flipped() == k.renamed(k.name)
    assert k.written_for(k.operation) is k


@given(kernel(2), st.integers(-5, 9))
def test_turning_the_kernel_and_the_picture_is_turning_the_result(k, turns):
    x = samples(2, 3)
    turned = k.rotated90(turns)
    np.testing.assert_array_equal(turned.array, np.rot90(k.array, turns))
    wanted = np.rot90(apply(k, x, boundary="symmetric"), turns)
    got = apply(turned, np.rot90(x, turns), boundary="symmetric")
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)
    assert k.rotated90(4) is k
    assert turned.exact == k.exact


@given(kernel())
def test_normalised(k):
    if abs(float(k.total)) < 1e-9:
        with pytest.raises(ValueError, match="sums to 0"):
            k.normalised()
        return
    normal = k.normalised()
    assert normal.total == 1 if k.exact else abs(normal.total - 1) < 1e-9
    np.testing.assert_allclose(normal.array * float(k.total), k.array, atol=1e-9)


@given(kernel(1), kernel(1))
def test_outer_products_are_applied_axis_by_axis(a, b):
    product = a.outer(b)
    np.testing.assert_allclose(
        product.array, np.multiply.outer(a.array, b.written_for(a.operation).array)
    )
    x = samples(2, 4)
    wanted = apply(b, apply(a, x, axes=0), axes=1)
    np.testing.assert_allclose(apply(product, x), wanted, rtol=1e-9, atol=1e-9)


@given(kernel())
def test_factors_multiply_to_the_kernel(k):
    factors = k.factors
    if factors is None:
        if k.exact and k.ndim == 2:
            assert np.linalg.matrix_rank(k.array) != 1
        return
    assert [f.shape[0] for f in factors] == list(k.shape)
    product = factors[0]
    for f in factors[1:]:
        product = product.outer(f)
    np.testing.assert_allclose(product.array, k.array, rtol=1e-12)
    assert product.anchor == k.anchor


@given(kernel(), st.sampled_from(OPERATIONS))
def test_the_frequency_response_is_what_becomes_of_a_wave(k, operation):
    f = np.array([-0.5, -0.2, 0.0, 0.125, 0.3])
    frequencies, h = k.frequency_response(frequencies=f, operation=operation)
    assert h.shape == (5,) * k.ndim
    assert h.dtype == complex
    assert len(frequencies) == k.ndim
    at = (3, 1, 4)[: k.ndim]
    shape = (9, 8, 7)[: k.ndim]
    n = np.indices(shape)
    wave = np.exp(2j * np.pi * sum(f[a] * n[axis] for axis, a in enumerate(at)))
    y = getattr(faltung, operation)(wave, k)
    middle = tuple(4 for _ in shape)  # every tap of at most 4 lies inside
    assert y[middle] == pytest.approx(h[at] * wave[middle], abs=1e-9)


def test_frequency_responses_multiply_and_are_real_where_even():
    a, b = kernels.gaussian(1.3), kernels.sobel_x
    ha, hb = a.frequency_response(9).values, b.frequency_response(9).values
    np.testing.assert_allclose(b.compose(a).frequency_response(9).values, ha * hb, atol=1e-14)
    assert np.abs(ha.imag).max() < 1e-15
    assert np.abs(hb.real).max() < 1e-14
    f, h = kernels.edge.frequency_response()
    assert len(f[0]) == 65
    assert f[0][0] == -0.5
    assert abs(h[32, 32]) < 1e-12  # at 0: the sum
    assert kernels.box(3).frequency_response(1).values[0, 0] == pytest.approx(1)
    for bad in ({"points": 0}, {"frequencies": [np.nan]}, {"operation": "turn"},
                {"frequencies": [[0.1]]}):  # fmt: skip
        with pytest.raises(ValueError, match=r"points|frequencies|operation"):
            kernels.edge.frequency_response(**bad)


def test_composition_in_same_mode_differs_at_the_ends_only():
    x = np.random.default_rng(0).random(30)
    k = kernels.binomial(5, axes=1)
    both = faltung.convolve(x, k.compose(k), boundary="symmetric")
    twice = faltung.convolve(faltung.convolve(x, k, boundary="symmetric"), k, boundary="symmetric")
    np.testing.assert_allclose(both[4:-4], twice[4:-4], rtol=1e-13)
    np.testing.assert_allclose(both, twice, rtol=1e-13)  # even kernels keep an even continuation
    zeros = faltung.convolve(faltung.convolve(x, k), k)
    assert not np.allclose(faltung.convolve(x, k.compose(k)), zeros)


def test_even_boxes_compose_with_their_anchors():
    two = kernels.box(2, axes=1)
    assert two.compose(two).array.tolist() == [0.25, 0.5, 0.25]
    assert two.compose(two).anchor == (0,)  # not the middle: each averages towards one side
    x = np.arange(8.0) ** 2
    twice = faltung.convolve(faltung.convolve(x, two, boundary="wrap"), two, boundary="wrap")
    np.testing.assert_array_equal(faltung.convolve(x, two.compose(two), boundary="wrap"), twice)


def test_integers_of_any_size_stay_exact():
    k = kernels.binomial(61, axes=1)
    assert k.compose(k).compose(k).numerators == k.compose(k.compose(k)).numerators
    many = k.compose(k)
    assert many.numerators == tuple(math.comb(120, i) for i in range(121))
    assert many.divisor == 2**120
    assert many.array.sum() == pytest.approx(1, abs=1e-15)
    whole = Kernel.of([2**62, 1]) * 8
    assert whole.numerators == (2**65, 8)
    assert whole.array.dtype == np.float64


def test_high_powers_and_large_products():
    wide = kernels.gaussian(30).compose(kernels.gaussian(40))  # by the profiles
    assert wide.profiles
    narrow = kernels.gaussian(50)
    gap = (wide.shape[0] - narrow.shape[0]) // 2
    np.testing.assert_allclose(
        wide.profiles[0][gap:-gap], narrow.profiles[0], atol=1e-6
    )  # variances add
    with pytest.raises(ValueError, match="takes too long"):
        kernels.box(301).compose(kernels.box(301))
    with pytest.raises(ValueError, match="more than"):
        kernels.gaussian(300) + kernels.gaussian(299)
    assert kernels.gaussian(300).size > MOST


@pytest.mark.parametrize("wrong", [
    lambda: kernels.edge + 1,
    lambda: 1 + kernels.edge,
    lambda: kernels.edge * kernels.edge,
    lambda: kernels.edge * "2",
    lambda: kernels.edge * True,
    lambda: np.ones((3, 3)) * kernels.edge,
    lambda: np.ones((3, 3)) - kernels.edge,
    lambda: kernels.edge * 1j,
])  # fmt: skip
def test_what_kernels_do_not_multiply_or_add_with(wrong):
    with pytest.raises(TypeError):
        wrong()


@pytest.mark.parametrize(("wrong", "message"), [
    (lambda: kernels.edge + kernels.gaussian(1, axes=1), "do not add"),
    (lambda: kernels.edge.compose([1, 2, 1]), "do not compose"),
    (lambda: kernels.edge * float("nan"), "finite"),
    (lambda: kernels.gaussian(1, axes=1).rotated90(), "two axes"),
    (lambda: kernels.edge.written_for("turn"), "unknown"),
    (lambda: Kernel("k", (2,), (1, 2), anchor=(2,)), "anchor"),
    (lambda: Kernel("k", (2,), (1, 2), anchor=(0, 0)), "anchor"),
    (lambda: Kernel("k", (2,), (1, 2), operation="turn"), "operation"),
    (lambda: Kernel("k", (2,), values=(1.0, math.inf)), "finite"),
    (lambda: Kernel("k", (2,), (1, 2), values=(1.0, 2.0)), "as many taps"),
    (lambda: Kernel.of([]), "real numbers"),
    (lambda: Kernel.of(3), "real numbers"),
    (lambda: Kernel.of([1j]), "real numbers"),
])  # fmt: skip
def test_refusals_in_one_line(wrong, message):
    with pytest.raises(ValueError, match=message) as raised:
        wrong()
    assert "\n" not in str(raised.value)


def test_division_by_0():
    with pytest.raises(ZeroDivisionError, match="edge"):
        kernels.edge / 0


def test_numpy_s_numbers_scale_too():
    assert (np.float64(2) * kernels.edge).array[1, 1] == 16
    assert (np.int64(2) * kernels.edge).exact
    assert (kernels.edge * np.float32(0.5)).array[1, 1] == 4
    assert sum([kernels.edge, kernels.edge]).array[1, 1] == 16
    assert np.asarray(kernels.edge, np.float32).dtype == np.float32


# ---- the anchor and the operator -------------------------------------------------------------


@given(kernel(), st.sampled_from(OPERATIONS), st.sampled_from(["symmetric", "constant", "wrap"]))
@settings(max_examples=50)
def test_the_operator_uses_the_kernel_s_anchor_where_none_is_given(k, operation, boundary):
    x = samples(k.ndim, 5)
    call = getattr(faltung, operation)
    got = call(x, k, boundary=boundary)
    np.testing.assert_array_equal(got, call(x, k.array, anchor=k.anchor, boundary=boundary))
    planned = faltung.plan(x.shape, x.dtype, k, operation=operation, boundary=boundary)
    np.testing.assert_array_equal(planned(x), got)
    assert planned.problem.anchor == k.anchor
    reference = getattr(faltung.reference, operation)(x, k, boundary=boundary)
    np.testing.assert_allclose(got, reference, rtol=1e-9, atol=1e-9)
    first = (0,) * k.ndim
    np.testing.assert_array_equal(  # an anchor that is given wins
        call(x, k, anchor=first, boundary=boundary),
        call(x, k.array, anchor=first, boundary=boundary),
    )


def test_a_dialect_s_anchor_wins():
    x = np.random.default_rng(0).random((8, 9))
    k = Kernel.of([[1, 2], [3, 4]], anchor=(0, 0))
    for dialect in ("cv2.filter2D", "scipy.ndimage.correlate"):
        np.testing.assert_array_equal(
            faltung.correlate(x, k, dialect=dialect), faltung.correlate(x, k.array, dialect=dialect)
        )


# ---- values, and how they look ---------------------------------------------------------------


@given(kernel())
def test_kernels_are_values(k):
    twin = Kernel(**{name: getattr(k, name) for name in k.__dataclass_fields__})
    assert twin == k
    assert hash(twin) == hash(k)
    hash(k)
    copy = pickle.loads(pickle.dumps(k))
    assert copy == k
    assert hash(copy) == hash(k)
    assert "_hash" not in pickle.loads(pickle.dumps(k)).__dict__  # those of texts change
    with pytest.raises(AttributeError):
        k.name = "other"
    moved = Kernel.of(np.arange(1, 4), anchor=(0,))
    assert moved != Kernel.of(np.arange(1, 4))


@given(kernel(most=20))
@settings(max_examples=40)
def test_text_and_html(k):
    text, page = str(k), k._repr_html_()
    assert text.startswith("drawn  (")
    assert ("convolve" in text) == (k.operation == "convolve")
    assert repr(k).startswith("<Kernel drawn: ")
    assert page.count("<td") == page.count("</td>") > 0
    assert page.count("<tr>") == page.count("</tr>")
    if k.ndim == 2:
        assert page.count("<td") == k.size


def test_heat_maps_escape_and_stay_small():
    page = Kernel.of([[1, -1]], "<script>")._repr_html_()
    assert "<script>" not in page
    assert "#2563a8" in page  # the greatest tap
    assert "#b23a2c" in page  # and its negative
    for name in ("gaussian:300", "box:501", "gabor:40,45deg", "age.exponential:0.01"):
        assert len(kernels.get(name)._repr_html_()) < 300_000
    assert kernels.gaussian(1, axes=3)._repr_html_().count("The middle plane.") == 1
    assert "0." not in Kernel.of([[0, 0]])._repr_html_().split("<table")[1]


def test_importing_and_the_operator_load_little():
    import subprocess
    import sys

    code = (
        "import sys, numpy, faltung.kernels;"
        "loaded = [m for m in sys.modules if m.startswith(('scipy', 'PIL', 'faltung.kernels.'))];"
        "print(loaded); faltung.kernels.names(); faltung.kernels.nearest([[1, 2]]);"
        "print([m for m in sys.modules if m.startswith(('scipy', 'PIL'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
