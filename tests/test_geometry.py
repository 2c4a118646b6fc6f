"""Shapes, offsets, pads and boundaries, against the words of the definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import BOUNDARIES

from faltung.boundary import index_map
from faltung.geometry import Axis, blocks, default_anchor

axes = st.builds(
    lambda n, taps, mode, operation, anchor, stride, dilation: Axis(
        n, taps, mode, operation, anchor % taps, stride, dilation
    ),
    st.integers(1, 12),
    st.integers(1, 15),
    st.sampled_from(["same", "full", "valid"]),
    st.sampled_from(["convolve", "correlate"]),
    st.integers(0, 14),
    st.integers(1, 4),
    st.integers(1, 3),
)


def tap_positions(axis, position):
    """Where the taps lie for an output that stands on a position, by the two equations."""
    sign = -1 if axis.operation == "convolve" else 1
    return [position + sign * axis.dilation * (j - axis.anchor) for j in range(axis.taps)]


def positions_by_the_words(axis):
    """Walk along the axis and keep the positions that the mode's words ask for."""
    inside = range(axis.n)
    far = range(-100, 100)
    if axis.mode == "same":
        kept = list(inside)
    elif axis.mode == "valid":
        kept = [p for p in far if all(t in inside for t in tap_positions(axis, p))]
    else:
        reach = [p for p in far if any(t in inside for t in tap_positions(axis, p))]
        # with a dilation the taps may step over a short input; the outputs go on between
        kept = list(range(reach[0], reach[-1] + 1))
    return kept[:: axis.stride]


@given(axes)
def test_count_and_offset_follow_from_the_words_of_the_modes(axis):
    wanted = positions_by_the_words(axis)
    assert axis.count == len(wanted)
    if wanted:
        assert axis.offset == wanted[0]


@given(axes)
def test_inside_holds_just_the_outputs_whose_taps_all_lie_inside(axis):
    outputs = [axis.offset + axis.stride * i for i in range(axis.count)]
    inside = [i for i, p in enumerate(outputs) if set(tap_positions(axis, p)) <= set(range(axis.n))]
    first, stop = axis.inside
    assert list(range(first, stop)) == inside


@given(axes)
def test_span_covers_every_tap(axis):
    if axis.count == 0:
        return
    first, stop = axis.span(0, axis.count)
    outputs = [axis.offset + axis.stride * i for i in range(axis.count)]
    taps = [t for p in outputs for t in tap_positions(axis, p)]
    assert (first, stop) == (min(taps), max(taps) + 1)


@given(axes)
def test_the_printed_formula_is_the_equation(axis):
    for i in range(axis.count):
        for j in range(axis.taps):
            position = axis.offset + axis.stride * i
            assert eval(axis.formula(), {"i": i, "j": j}) == tap_positions(axis, position)[j]


@given(axes)
def test_the_printed_count_is_the_count(axis):
    sides = axis.count_formula().split(" = ")
    assert int(sides[-1]) == axis.count or axis.count == 0
    if "ceil" not in sides[0] and axis.count:
        assert eval(sides[0]) == axis.count


def test_default_anchor_is_the_middle_and_the_left_of_two():
    assert [default_anchor(n) for n in range(1, 7)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_index_maps_are_those_of_numpy_pad_with_pads_longer_than_the_input(boundary, n):
    pad = 3 * n + 2
    x = np.arange(10, 10 + n)
    options = {"constant_values": -5} if boundary == "constant" else {}
    wanted = np.pad(x, pad, mode=boundary, **options)
    indices = index_map(np.arange(-pad, n + pad), n, boundary)
    assert np.where(indices < 0, -5, x[indices]).tolist() == wanted.tolist()


@given(st.lists(axes, min_size=1, max_size=3), st.data())
def test_blocks_cover_every_output_once_and_read_only_what_is_there(several, data):
    several = [a for a in several if a.count]
    if not several:
        return
    kinds = [data.draw(st.sampled_from(BOUNDARIES)) for _ in several]
    limit = [data.draw(st.integers(1, 9)) for _ in several]
    strip_limit = [data.draw(st.integers(1, 9)) for _ in several]
    margins = [data.draw(st.integers(1, 4)) for _ in several]
    seen = np.zeros([a.count for a in several], int)
    for block in blocks(several, kinds, margins=margins, limit=limit, strip_limit=strip_limit):
        seen[tuple(slice(*ends) for ends in block.outputs)] += 1
        for axis, kind, ends, source in zip(
            several, kinds, block.outputs, block.sources, strict=True
        ):
            low, high = axis.span(*ends)
            wanted = index_map(np.arange(low, high), axis.n, kind)
            if source.mapped:
                got = source.indices()
            else:
                got = np.r_[[-1] * source.before, source.first : source.stop, [-1] * source.after]
            assert got.astype(int).tolist() == wanted.tolist()
    assert (seen == 1).all()
