"""Streams: joined, what came out block by block is what one call on the whole gives."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import numbers

import faltung
from faltung import partitions

BOUNDARIES = ("constant", "edge", "symmetric", "reflect")
MODES = ("same", "full", "valid")


def pieces(x, axis, lengths):
    """Cut an array along an axis."""
    cuts = np.clip(np.cumsum([0, *lengths]), 0, x.shape[axis])
    ends = [*cuts, x.shape[axis]]
    every = (slice(None),) * axis
    return [x[(*every, slice(a, b))] for a, b in itertools.pairwise(ends)]


def fed(stream, blocks, weights=None):
    """Feed blocks and flush; check what the stream says of itself on the way."""
    axis, given, outputs = stream.axis, 0, []
    stride = stream._running.axis.stride
    for n, block in enumerate(blocks):
        more = {} if weights is None else {"weights": weights[n]}
        outputs.append(stream.feed(block, **more))
        given += outputs[-1].shape[axis]
        due = max(0, (stream.fed - 1 - stream.latency) // stride + 1)
        assert given >= due
        assert stream.returned == given
    outputs.append(stream.flush())
    assert stream.finished
    return np.concatenate(outputs, axis)


def whole_of(x, k, options, weights=None):
    options = dict(options)
    options["dtype"] = options.pop("result_dtype", None)
    return faltung.convolve(x, k, weights=weights, **options)


def limit(stream, x, k, options):
    """Return what stream and whole may differ by: both bounds, in the unit that holds for any."""
    eps = np.finfo(np.result_type(stream.dtype, np.float32)).eps
    taps = np.asarray(k, np.result_type(k, float))
    given = {name: v for name, v in options.items() if name != "result_dtype"}
    bound = faltung.plan(x.shape, x.dtype, k, **given).error_bound
    if stream.dtype == np.float16:  # the last rounding is no matter of sums
        bound += np.finfo(np.float16).eps
    own = bound if stream.error_bound is None else stream.error_bound
    # a block of partitions holds more samples than the taps reach
    reached = taps.size + 2 * partitions.LARGEST * (stream.error_bound is not None)
    size = max(np.abs(x.astype(taps.dtype)).max(initial=0), abs(options["fill_value"]))
    return (bound + own + 16 * eps) * np.linalg.norm(taps.ravel()) * size * math.sqrt(reached)


@st.composite
def cases(draw, boundaries=BOUNDARIES, rows=False):
    """Draw a signal or a picture, a kernel, options, and the lengths of blocks."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rank = 2 if rows else 1
    shape = [draw(st.integers(0 if n == 0 else 1, 30)) for n in range(rank)]
    taps = [draw(st.integers(1, 9)) for _ in range(rank)]
    many = st.sampled_from([1, 1, 2, 3])
    options = {
        "mode": draw(st.sampled_from(MODES)),
        "boundary": tuple(
            draw(st.sampled_from(boundaries if n == 0 else (*boundaries, "wrap")))
            for n in range(rank)
        ),
        "stride": tuple(draw(many) for _ in range(rank)),
        "dilation": tuple(draw(many) for _ in range(rank)),
        "anchor": tuple(draw(st.integers(0, t - 1)) for t in taps),
        "fill_value": draw(st.sampled_from([0, 3])),
    }
    if options["mode"] == "valid":
        shape = [
            max(n, d * (t - 1) + 1)
            for n, d, t in zip(shape, options["dilation"], taps, strict=True)
        ]
    axes = list(range(rank))
    if draw(st.booleans()):  # channels beside
        place = draw(st.integers(0, rank))
        shape.insert(place, draw(st.integers(1, 3)))
        axes = [a + (a >= place) for a in axes]
    options["axes"] = tuple(axes)
    lengths = draw(st.lists(st.integers(0, 8), max_size=12))
    latency = draw(st.sampled_from([None, 0, 1, 5, 40]))
    return rng, tuple(shape), tuple(taps), options, lengths, latency


def stream_for(x, k, options, extra, axis):
    """Return a stream for an array, ``extra`` later than it must be."""
    shape = tuple(None if n == axis else size for n, size in enumerate(x.shape))
    at_once = faltung.stream(shape, x.dtype, k, **options)
    if extra is None:
        return at_once
    least = at_once._running.latency
    stream = faltung.stream(shape, x.dtype, k, latency=least + extra, **options)
    assert stream.latency <= least + extra
    return stream


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(["bool", "uint8", "int16", "int64", "uint64"]), st.booleans())
def test_integers_are_those_of_the_whole_to_the_last_bit(case, dtype, small):
    rng, shape, taps, options, lengths, extra = case
    options["fill_value"] = min(options["fill_value"], 1) if dtype == "bool" else 3
    x, k = numbers(rng, shape, dtype, small), numbers(rng, taps, "int8")
    options["overflow"] = "wrap"
    if not small:
        options["result_dtype"] = "int32"
    axis = options["axes"][0]
    y = fed(stream_for(x, k, options, extra, axis), pieces(x, axis, lengths))
    wanted = whole_of(x, k, options)
    assert y.dtype == wanted.dtype
    np.testing.assert_array_equal(y, wanted)


@settings(max_examples=100, deadline=None)
@given(cases(), st.sampled_from(["float16", "float32", "float64", "complex64", "complex128"]))
def test_floats_are_those_of_the_whole_within_the_bound(case, dtype):
    rng, shape, taps, options, lengths, extra = case
    x, k = numbers(rng, shape, dtype), numbers(rng, taps, dtype)
    axis = options["axes"][0]
    stream = stream_for(x, k, options, extra, axis)
    y, wanted = fed(stream, pieces(x, axis, lengths)), whole_of(x, k, options)
    assert y.dtype == wanted.dtype
    np.testing.assert_allclose(y, wanted, rtol=0, atol=limit(stream, x, k, options))


@settings(max_examples=80, deadline=None)
@given(cases(rows=True), st.sampled_from(["uint8", "float32"]))
def test_rows_of_pictures_are_those_of_the_whole(case, dtype):
    rng, shape, taps, options, lengths, extra = case
    x, k = numbers(rng, shape, dtype), numbers(rng, taps, "int8").astype(dtype)
    axis = options["axes"][0]
    stream = stream_for(x, k, options, extra, axis)
    y, wanted = fed(stream, pieces(x, axis, lengths)), whole_of(x, k, options)
    assert y.dtype == wanted.dtype
    if dtype == "uint8":
        np.testing.assert_array_equal(y, wanted)
    else:
        np.testing.assert_allclose(y, wanted, rtol=0, atol=limit(stream, x, k, options))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from(MODES),
    st.sampled_from(BOUNDARIES),
    st.sampled_from(["float32", "float64", "complex64"]),
    st.lists(st.integers(0, 300), max_size=20),
    st.integers(1, 1200),
    st.sampled_from([31, 63, 100, 700]),
    st.sampled_from([1, 3]),
    st.sampled_from([1, 2]),
)
def test_partitions_of_long_kernels_give_the_whole(
    seed, mode, boundary, dtype, lengths, n, extra, stride, dilation
):
    rng = np.random.default_rng(seed)
    k = numbers(rng, 200, dtype)
    n = max(n, 199 * dilation + 1) if mode == "valid" else n
    x = numbers(rng, (n, 2), dtype)
    options = {"mode": mode, "boundary": boundary, "axes": 0, "stride": stride}
    options |= {"dilation": dilation, "fill_value": 2, "anchor": 17}
    stream = in_partitions(stream_for(x, k, options, extra, 0))
    y, wanted = fed(stream, pieces(x, 0, lengths)), whole_of(x, k, options)
    assert y.shape == wanted.shape
    np.testing.assert_allclose(y, wanted, rtol=0, atol=limit(stream, x, k, options))


def in_partitions(stream):
    """Let partitions compute a stream, whatever they cost."""
    from faltung import pieces

    if stream.method == "plans":
        engine = stream._engine
        block = max(partitions.LEAST // 8, min(64, 1 << (stream._wait + 1).bit_length() - 1))
        cut = partitions.stretches(engine.geometry.reach + 1, (block, 4 * block))
        stream._cut, stream._wait = cut, block - 1
        stream._engine = pieces.Partitioned(engine.problem, stream.axis, cut)
        stream.reset()
    assert stream.method == "partitions"
    return stream


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from(["ignore", "weighted"]), st.sampled_from([3, np.nan]))
def test_missing_and_weighted_samples(case, how, fill):
    rng, shape, taps, options, lengths, extra = case
    x, k = numbers(rng, shape, "float64"), rng.random(taps)
    axis, weights, blocks = options["axes"][0], None, None
    options["fill_value"] = fill if how == "ignore" else 3
    if how == "ignore":
        x[rng.random(shape) < 0.3] = np.nan
        options["missing"] = "ignore"
    else:
        weights = rng.random(shape) * (rng.random(shape) < 0.8)
        blocks = pieces(weights, axis, lengths)
        options["weighted"] = True
    y = fed(stream_for(x, k, options, extra, axis), pieces(x, axis, lengths), blocks)
    options.pop("weighted", None)
    np.testing.assert_allclose(y, whole_of(x, k, options, weights), rtol=1e-10, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from(["float32", "complex128"]),
    st.sampled_from(["few", "many"]),
    st.booleans(),
    st.integers(1, 400),
)
def test_what_is_not_finite_stays_where_it_is(seed, dtype, how, infinite, length):
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, 900, dtype), numbers(rng, 200, dtype)
    places = rng.random(900) < (0.003 if how == "few" else 0.5)
    x[places] = np.inf if infinite else np.nan
    options = {"mode": "full", "fill_value": 0}
    stream = in_partitions(stream_for(x, k, options, 63, 0))
    y = fed(stream, pieces(x, 0, [length] * 900))
    wanted = faltung.reference.convolve(x, k, mode="full")
    for part in (np.real, np.imag):
        np.testing.assert_array_equal(np.isnan(part(y)), np.isnan(part(wanted)))
        there = np.isfinite(part(wanted))
        np.testing.assert_array_equal(np.sign(part(y))[~there], np.sign(part(wanted))[~there])
        atol = 1e-3 if dtype == "float32" else 1e-9
        np.testing.assert_allclose(part(y)[there], part(wanted)[there], rtol=0, atol=atol)


def test_noise_hides_nothing_quiet():
    rng = np.random.default_rng(0)
    x, k = rng.standard_normal(4000).astype(np.float32), rng.random(300).astype(np.float32)
    x[1000] = 1e12
    stream = in_partitions(stream_for(x, k, {"mode": "full"}, 63, 0))
    y, wanted = fed(stream, pieces(x, 0, [100] * 50)), np.convolve(x.astype(float), k)
    far = np.ones(len(y), bool)
    far[1000:1300] = False
    np.testing.assert_allclose(y[far], wanted[far], atol=1e-2)
    np.testing.assert_allclose(y[~far], wanted[~far], rtol=1e-4)


@given(st.integers(1, 3000), st.integers(0, 11))
def test_partitions_cover_every_tap_once(taps, size):
    from faltung.machine import Machine

    cut = partitions.best_cut(taps, 1 << size, 8, Machine())
    assert [each.first for each in cut] == [0, *(each.stop for each in cut[:-1])]
    assert cut[-1].stop == taps
    assert cut[0].size <= 1 << size
    assert all(each.first in (0, each.size) for each in cut)
    assert all(each.size % cut[0].size == 0 for each in cut)


@pytest.mark.parametrize("options", [
    {}, {"mode": "full"}, {"mode": "valid"}, {"anchor": 0}, {"anchor": 4}, {"stride": 3},
    {"boundary": "symmetric", "anchor": 0}, {"boundary": "reflect", "anchor": 0},
    {"boundary": "edge", "anchor": 0}, {"dilation": 2},
])  # fmt: skip
def test_the_latency_is_what_it_says_and_no_less(options):
    x, k = np.arange(1, 61), np.arange(1, 6)
    stream = faltung.stream(None, "int64", k, **options)
    late = []
    for n, sample in enumerate(x):
        before = stream.returned
        stream.feed([sample])
        late += [n - stream._running.axis.stride * i for i in range(before, stream.returned)]
    assert max(late) == stream.latency


def test_samples_of_a_wait_come_together():
    stream = faltung.stream(None, "int64", [1, 1], mode="full", latency=4)
    assert [len(stream.feed([n])) for n in range(12)] == [0, 0, 0, 0, 5, 0, 0, 0, 0, 5, 0, 0]
    assert stream.flush().tolist() == [19, 21, 11]
    assert stream.latency == 4


def test_memory_does_not_grow():
    import tracemalloc

    rng = np.random.default_rng(0)
    for k, latency in ((rng.random(50), None), (rng.random(5000), 2500 + 511)):
        stream = faltung.stream((None, 2), "float64", k, axes=0, latency=latency)
        block = rng.random((2000, 2)) if latency is None else rng.random((511, 2))
        for _ in range(60):
            stream.feed(block)
        tracemalloc.start()
        for _ in range(200):
            stream.feed(block)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < max(1 << 20, 2 * stream.memory)


def test_a_stream_starts_again_and_says_what_it_is():
    stream = faltung.plan(6, "int64", [1, 2, 1]).stream()
    for _ in range(2):
        assert stream.feed([0, 0, 3, 4, 5, 0]).tolist() == [0, 3, 10, 16, 14]
        assert stream.flush().tolist() == [5]
        with pytest.raises(ValueError, match=r"flushed; reset\(\) starts a new one"):
            stream.feed([1])
        with pytest.raises(ValueError, match=r"is finished: it was flushed"):
            stream.flush()
        stream.reset()
    assert "latency 1" in repr(stream)
    assert (stream.shape, stream.axis, stream.dtype) == ((None,), 0, np.dtype(np.int64))
    assert stream.flush().shape == (0,)


def test_a_stream_explains_itself():
    rng = np.random.default_rng(0)
    options = {"mode": "full", "stride": 2, "latency": 600}
    stream = in_partitions(faltung.stream((None, 2), "f4", rng.random(40_000), axes=0, **options))
    text = stream.explain()
    assert "y[i] = sum_j k[j] x[2*i - j]" in text
    assert f"{stream.latency}: output i is given when sample 2*i + {stream.latency}" in text
    assert f"{stream.memory:,} bytes" in text
    assert f"<= {stream.error_bound:.2g} norm(k) norm(x)" in text
    assert sum(s.partitions * s.size for s in stream._cut) >= 40_000
    for stretch in stream._cut:
        assert f"{stretch.partitions} of {stretch.size:,}" in text
    plain = faltung.stream(None, "f4", [1, 2])
    plain.feed([1.0] * 5)
    assert f"{plain._engine._plan(4).method} for 4 outputs" in plain.explain()


def test_a_plan_of_the_whole_gives_a_stream_of_any_length():
    k = np.ones((3, 3), np.float32)
    plan = faltung.plan((4, 5, 3), "float32", k, axes=(0, 1), boundary=("edge", "wrap"))
    x = numbers(np.random.default_rng(0), (11, 5, 3), "float32")
    wanted = faltung.convolve(x, k, axes=(0, 1), boundary=("edge", "wrap"))
    np.testing.assert_allclose(fed(plan.stream(), pieces(x, 0, [1, 4])), wanted, atol=1e-5)
    assert plan.stream(axis=-3).axis == 0
    with pytest.raises(ValueError, match="does not know yet"):
        plan.stream(axis=1)
    with pytest.raises(ValueError, match="axis 2 is not convolved over"):
        plan.stream(axis=2)
    with pytest.raises(ValueError, match="must be an axis"):
        plan.stream(axis=3)


def test_a_memory_that_makes_a_stream_crawl_is_told():
    k = np.random.default_rng(0).standard_normal(5000)
    with pytest.warns(UserWarning, match="leaves this stream only the loops") as told:
        slow = faltung.stream(None, float, k, max_memory=1000)
    least = int(str(told[0].message).split("max_memory=")[2].split(" ")[0])
    for limit in (least, None):
        faltung.stream(None, float, k, max_memory=limit)  # a warning would be an error
    x = np.random.default_rng(0).standard_normal(700)
    np.testing.assert_allclose(fed(slow, [x]), faltung.convolve(x, k), atol=1e-9)


@pytest.mark.parametrize("options", [
    {}, {"stride": 3}, {"max_memory": 30_000}, {"weighted": True}, {"result_dtype": "int16"},
])  # fmt: skip
def test_blocks_of_ever_new_lengths_are_planned_a_few_times(options, monkeypatch):
    from faltung import pieces as engines

    rng = np.random.default_rng(0)
    x, k = rng.integers(-9, 9, (24_000, 2)), rng.integers(1, 9, 40)
    lengths = np.r_[rng.integers(1, 500, 90), [64] * 5]
    made = []
    usual = engines.plan_of
    monkeypatch.setattr(engines, "plan_of", lambda *a: made.append(a) or usual(*a))
    stream = faltung.stream((None, 2), "int64", k, axes=0, **options)
    del made[:]
    weights = rng.integers(0, 2, x.shape) if options.pop("weighted", None) else None
    blocks = pieces(x, 0, lengths)
    parts = None if weights is None else pieces(weights, 0, lengths)
    y = fed(stream, blocks, parts)
    assert len(made) < engines.PLANS + 16  # the first lengths, and powers of two
    options.pop("max_memory", None)
    wanted = whole_of(x, k, options | {"axes": 0}, weights)
    np.testing.assert_allclose(y, wanted, rtol=1e-12)


def test_blocks_belong_to_the_caller():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 99, 60)
    for options in ({"latency": 20}, {"boundary": "reflect", "anchor": 0}):
        stream = faltung.stream(None, "int64", np.arange(9), **options)
        outputs, block = [], np.empty(3, np.int64)
        for part in x.reshape(-1, 3):
            block[:] = part
            outputs.append(stream.feed(block))
            block[:] = -1
        options.pop("latency", 0)
        outputs.append(stream.flush())
        wanted = faltung.convolve(x, np.arange(9), **options)
        np.testing.assert_array_equal(np.concatenate(outputs), wanted)


def test_objects_and_foreign_bytes():
    from fractions import Fraction

    third = Fraction(1, 3)
    stream = faltung.stream(None, object, [third] * 3)
    y = fed(stream, [np.array([3, 6], object), np.array([9], object)])
    assert y.tolist() == [3, 6, 5]
    swapped = np.arange(9.0).astype(">f8")
    y = fed(faltung.stream(None, "float64", [1, 1]), [swapped[:4], swapped[4:]])
    np.testing.assert_array_equal(y, faltung.convolve(np.arange(9.0), [1, 1]))


def test_empty_axes_beside():
    for shape, result in (((None, 0), (5, 0)), ((0, None), (0, 5))):
        axis = shape.index(None)
        stream = faltung.stream(shape, "float32", [1, 2, 1], axes=axis)
        block = np.empty(tuple(5 if n is None else n for n in shape), np.float32)
        assert np.concatenate([stream.feed(block), stream.flush()], axis).shape == result


@pytest.mark.parametrize(("call", "text"), [
    (lambda: faltung.stream(9, "f4", [1, 2]), "must have one None"),
    (lambda: faltung.stream((None, None), "f4", [1, 2]), "must have one None"),
    (lambda: faltung.stream(None, "f4", [1, 2], boundary="wrap"), "wrap.*does not know yet"),
    (lambda: faltung.stream((None, 2), "f4", [1, 2]), "axis 0 is not convolved over"),
    (lambda: faltung.stream(None, "f4", [1, 2, 3], latency=0), "latency=0 .* at least 1"),
    (lambda: faltung.stream(None, "f4", [1, 2, 3], latency=1.5), "an int of at least 1"),
    (lambda: faltung.stream(None, "f4", [1, 2, 3], latency=True), "an int of at least 1"),
    (lambda: faltung.stream(None, "f4", []), "the kernel is empty"),
    (lambda: faltung.stream(None, "f4", [1, 2], method="nonsense"), "'nonsense' is unknown; use"),
    (lambda: faltung.stream(None, "f4", [1, 2]).feed([[1], [1, 2]]), "the block is no array"),
    (lambda: faltung.plan((3, 4), "f4", [[1]]).stream(axis=True), "axis=True must be an axis"),
    (lambda: faltung.plan((3, 4), "f4", [[1]]).stream(axis=-3), "axis=-3 must be an axis"),
    (lambda: faltung.stream(None, "f4", [1, 2]).feed(np.zeros(3)), r"blocks of float32 \(any\)"),
    (lambda: faltung.stream((None, 2), "f4", [1], axes=0).feed(np.zeros(3, "f4")), r"\(any, 2\)"),
    (lambda: faltung.stream(None, "f4", [1]).feed([1.0], weights=[1]), "weighted=False"),
    (lambda: faltung.stream(None, "f4", [1], weighted=True).feed([1.0]), "weighted=True"),
    (lambda: faltung.stream(None, "f4", [1], weighted=True).feed([1.0], weights=[1, 2]), "do not"),
    (lambda: faltung.stream(None, "f4", [1], nonnegative=True).feed([-1.0]), "without negative"),
])  # fmt: skip
def test_errors_say_what_to_do(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_valid_needs_as_many_samples_as_taps_at_the_end():
    stream = faltung.stream(None, "int64", [1, 2, 3], mode="valid")
    assert stream.feed([1, 2]).size == 0
    with pytest.raises(ValueError, match=r'mode="valid" needs .* input \(2,\)'):
        stream.flush()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1, 1e-19, 1e19])
def test_bad_weights_are_refused_and_nothing_is_taken(bad):
    x, w = np.arange(8.0), np.array([1, 0, 2, 3, 1e18, 1e-18, 1, 0])
    stream = faltung.stream(None, float, [1, 2, 1], weighted=True)
    outputs = [stream.feed(x[:4], weights=w[:4])]
    with pytest.raises(ValueError, match="must be 0, for a missing sample"):
        stream.feed(x[4:7], weights=[1, bad, 1])
    assert (stream.fed, stream.broken) == (4, False)
    outputs += [stream.feed([y], weights=[v]) for y, v in zip(x[4:], w[4:], strict=True)]
    wanted = faltung.convolve(x, [1, 2, 1], weights=w)
    np.testing.assert_allclose(np.concatenate([*outputs, stream.flush()]), wanted, rtol=1e-12)


def test_valid_goes_on_after_a_flush_too_early():
    stream = faltung.stream(None, "int64", [1, 2, 3], mode="valid")
    stream.feed([1, 2])
    with pytest.raises(ValueError, match='mode="valid" needs'):
        stream.flush()
    assert stream.feed([3]).tolist() == [10]
    assert stream.flush().size == 0


def test_overflow_breaks_a_stream_which_says_so_and_does_not_grow():
    stream = faltung.stream(None, "uint8", [1, 1], result_dtype="uint8", mode="full")
    for _ in range(2):
        assert stream.feed([100, 100]).tolist() == [100, 200]
        with pytest.raises(OverflowError, match="hold"):
            stream.feed([200])
        for call in (lambda: stream.feed([1]), stream.flush):
            with pytest.raises(ValueError, match=r"broken.* 2 samples gave 2 outputs.*reset\(\)"):
                call()
        assert stream.broken
        stream.reset()
        assert not stream.broken


@pytest.mark.parametrize("name", ["plans", "partitions"])
def test_an_interrupt_anywhere_breaks_a_stream(name, monkeypatch):
    rng = np.random.default_rng(0)
    x, k = rng.standard_normal(1200), rng.standard_normal(100)
    stream = stream_for(x, k, {"mode": "full"}, 63 if name == "partitions" else None, 0)
    stream = in_partitions(stream) if name == "partitions" else stream
    assert stream.method == name
    wanted = np.convolve(x, k)
    inside = [(type(stream), "_fed"), (type(stream._samples), "feed"),
              (type(stream._engine), "feed"), (type(stream._engine), "_outputs")]  # fmt: skip
    for owner, called in inside:
        for late in (False, True):
            stream.reset()
            given = len(stream.feed(x[:600]))
            with monkeypatch.context() as patched:
                interrupted(patched, owner, called, late)
                with pytest.raises(KeyboardInterrupt):
                    stream.feed(x[600:])
            with pytest.raises(ValueError, match=f"600 samples gave {given} outputs"):
                stream.feed(x[600:])
    stream.reset()
    np.testing.assert_allclose(fed(stream, [x]), wanted, atol=1e-10)


def interrupted(patched, owner, name, late):
    """Let a method be interrupted before or after what it does."""
    usual = getattr(owner, name)

    def run(*arguments):
        if late:
            usual(*arguments)
        raise KeyboardInterrupt

    patched.setattr(owner, name, run)
