"""What hypothesis draws: geometries, and arrays of every dtype and layout."""

import numpy as np
from hypothesis import strategies as st

BOUNDARIES = ("constant", "edge", "symmetric", "reflect", "wrap")
INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64")
FLOATS = ("float16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
DTYPES = ("bool", *INTEGERS, *FLOATS, *COMPLEX)
LAYOUTS = ("plain", "fortran", "flipped", "swapped", "strided", "readonly")

LENGTHS = {1: 80, 2: 20, 3: 8, 4: 5}
TAPS = {1: 100, 2: 25, 3: 10}


def numbers(rng, shape, dtype, small=True):
    """Draw an array; ``small`` keeps the integers small, or they take their whole range."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        ends = (max(info.min, -20), min(info.max, 20)) if small else (info.min, info.max)
        return rng.integers(*ends, shape, dtype=dtype, endpoint=True)
    values = rng.standard_normal(shape)
    if dtype.kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def laid_out(array, layout):
    """Return the same numbers in another memory layout."""
    match layout:
        case "fortran":
            return np.asfortranarray(array)
        case "flipped":
            return np.flip(np.flip(array).copy())
        case "swapped":
            return array.astype(array.dtype.newbyteorder())
        case "strided":
            return np.repeat(array, 2, axis=-1)[..., ::2]
        case "readonly":
            array = array.copy()
            array.flags.writeable = False
    return array


@st.composite
def geometries(draw, ranks=(1, 2, 3), batch=True):
    """Draw the shapes of input and kernel, and the options of a call."""
    rank = draw(st.sampled_from(ranks))
    extra = draw(st.integers(0, 4 - rank)) if batch else 0
    ndim = rank + extra
    shape = tuple(draw(st.integers(1, LENGTHS[ndim])) for _ in range(ndim))
    axes = tuple(draw(st.permutations(range(ndim)))[:rank])
    longest = [min(TAPS[rank], 2 * shape[a] + 3) for a in axes]
    taps = tuple(draw(st.integers(1, n)) for n in longest)
    many = st.sampled_from([1, 1, 2, 3])
    options = {
        "axes": axes,
        "mode": draw(st.sampled_from(["same", "full", "valid"])),
        "boundary": tuple(draw(st.sampled_from(BOUNDARIES)) for _ in axes),
        "stride": tuple(draw(many) for _ in axes),
        "dilation": tuple(draw(many) for _ in axes),
        "anchor": draw(st.sampled_from([None, tuple(draw(st.integers(0, t - 1)) for t in taps)])),
    }
    if options["mode"] == "valid":
        reach = [d * (t - 1) for d, t in zip(options["dilation"], taps, strict=True)]
        shape = tuple(
            max(n, reach[axes.index(a)] + 1) if a in axes else n for a, n in enumerate(shape)
        )
    return shape, taps, options
