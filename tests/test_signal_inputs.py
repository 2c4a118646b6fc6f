"""What holds for everything in ``faltung.signal``: layouts of arrays, and names."""

import numpy as np
import pytest
from strategies import LAYOUTS, laid_out

from faltung import signal

CALLS = {
    "smooth": lambda x: signal.smooth(x, "linear:3").values,
    "smooth by ages": lambda x: (
        signal.smooth(x, signal.time_gaussian(1.0), times=np.arange(float(len(x)))).values
    ),
    "shift": lambda x: signal.shift(x, (1, 0.5)),
    "fourier": lambda x: signal.shift(x, 0.5, boundary="wrap", method="fourier"),
    "soft shift": lambda x: signal.shift(x, {0: 0.5, 1: 0.5}),
    "match": lambda x: signal.match(x, [[1.0, 2.0], [3.0, 5.0]]),
    "matched filter": lambda x: signal.matched_filter(x, [[1.0, 2.0], [3.0, 5.0]]),
    "peaks": lambda x: [peak.position for peak in signal.peaks(x)],
    "deconvolve": lambda x: signal.deconvolve(x, [[0.2, 0.8]], noise=0.1).values,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "uint8", "bool"])
def test_the_layout_of_an_array_does_not_matter(call, dtype):
    x = np.random.default_rng(1).integers(0, 9, (7, 6)).astype(dtype)
    wanted = call(x)
    for layout in LAYOUTS:
        given = laid_out(x, layout)
        before = given.copy()
        np.testing.assert_array_equal(call(given), wanted, err_msg=layout)
        np.testing.assert_array_equal(given, before)


def test_every_public_name_is_documented():
    for name in signal.__all__:
        value = getattr(signal, name)
        assert value.__doc__.strip()
        assert name in signal.__doc__
    assert dir(signal) == sorted(signal.__all__)
    with pytest.raises(AttributeError, match="smoth"):
        signal.smoth  # noqa: B018
