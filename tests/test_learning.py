"""Learning a kernel from what is before and after it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import geometries, numbers

import faltung
from faltung import image, kernels
from faltung.demo import PHOTOGRAPH

METHODS = ("closed", "gradient")
EDGE = np.asarray(kernels.edge)


@pytest.fixture(scope="module")
def cat():
    return image.read(PHOTOGRAPH)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("boundary", [None, "symmetric"])
def test_a_photograph_and_its_edges_give_the_edge_kernel(cat, method, boundary):
    grey = cat[..., 1].astype(float)
    edges = faltung.correlate(grey, kernels.edge, boundary="symmetric")
    learnt = faltung.learn_kernel(
        grey, edges, (3, 3), operation="correlate", boundary=boundary, method=method
    )
    np.testing.assert_allclose(learnt.kernel, EDGE, atol=1e-6)
    assert learnt.nearest.kernel.name == "edge"
    assert learnt.left_out == (0 if boundary else grey.size - 298 * 449)
    assert learnt.residual < 1e-9
    assert "1 times edge" in repr(learnt)


def test_a_picture_that_was_cut_off_gives_the_kernel_within_its_limits(cat):
    edges = faltung.correlate(
        cat, kernels.edge, axes=(0, 1), boundary="symmetric", dtype=np.uint8, overflow="saturate"
    )
    blind = faltung.learn_kernel(cat, edges, (3, 3), axes=(0, 1))
    assert np.abs(blind.kernel - EDGE).max() > 1
    learnt = faltung.learn_kernel(cat, edges, (3, 3), axes=(0, 1), limits=(0, 255))
    np.testing.assert_allclose(learnt.kernel, EDGE, atol=1e-6)


@settings(max_examples=40)
@given(geometries(), st.sampled_from(["convolve", "correlate"]), st.sampled_from(METHODS),
       st.booleans(), st.integers(0, 99))  # fmt: skip
def test_every_filter_is_recovered(geometry, operation, method, complex_, seed):
    shape, taps, options = geometry
    taps = tuple(min(n, 4) for n in taps)
    options = {**options, "anchor": None}
    rng = np.random.default_rng(seed)
    dtype = "complex128" if complex_ else "float64"
    pairs = [(numbers(rng, shape, dtype), None) for _ in range(2)]
    k = numbers(rng, taps, dtype)
    before = [x for x, _ in pairs]
    after = [getattr(faltung, operation)(x, k, **options) for x in before]
    try:
        learnt = faltung.learn_kernel(
            before, after, taps, operation=operation, method=method, **options
        )
    except ValueError as error:  # too few outputs, or taps that always fall onto the same sample
        if "ridge" not in str(error):
            raise
        return
    if learnt.condition < 1e4:
        np.testing.assert_allclose(learnt.kernel, k, atol=1e-6 * np.abs(k).max())


def test_conjugate_gradients_that_stop_early_say_so(cat):
    grey = cat[..., 1]
    edges = faltung.correlate(grey, kernels.edge, boundary="symmetric")
    learnt = faltung.learn_kernel(grey, edges, (3, 3), method="gradient", iterations=2)
    assert not learnt.converged
    assert "not converged after 2 iterations" in repr(learnt)
    assert faltung.learn_kernel(grey, edges, (3, 3), method="gradient").converged


def test_a_volume_and_a_signal():
    rng = np.random.default_rng(0)
    for shape, size in [((9, 10, 11), (3, 1, 2)), ((200,), 7)]:
        x, k = rng.random(shape), rng.random(size)
        y = faltung.convolve(x, k, mode="valid")
        learnt = faltung.learn_kernel(x, y, size, mode="valid", operation="convolve")
        np.testing.assert_allclose(learnt.kernel, k, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_the_standard_errors_are_those_of_the_noise(method):
    """Errors over their standard errors have a variance of 1, over many seeds."""
    k = np.array([[0.1, -0.4, 0.2], [0.3, 1.0, -0.2]])
    scaled = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = faltung.convolve(rng.random((30, 40)), np.ones((2, 2)))  # neighbours are alike
        y = faltung.convolve(x, k, boundary="edge") + rng.normal(0, 0.3, x.shape)
        learnt = faltung.learn_kernel(
            x, y, k.shape, boundary="edge", operation="convolve", method=method
        )
        assert abs(learnt.noise / 0.3 - 1) < 0.15
        scaled.append(((learnt.kernel - k) / learnt.standard_error).ravel())
    # 360 numbers, correlated within a seed: the mean square of 60 seeds is within 0.25 of 1
    assert abs(np.mean(np.square(scaled)) - 1) < 0.25
    assert abs(np.mean(scaled)) < 0.2


def test_both_ways_agree_with_a_ridge_and_with_scipy_s_least_squares():
    rng = np.random.default_rng(0)
    x, y = rng.random(60), rng.random(60)
    ways = [faltung.learn_kernel(x, y, 5, ridge=0.1, method=method) for method in METHODS]
    np.testing.assert_allclose(ways[0].kernel, ways[1].kernel, atol=1e-9)
    np.testing.assert_allclose(ways[0].standard_error, ways[1].standard_error, rtol=1e-6)
    np.testing.assert_allclose(ways[0].condition, ways[1].condition, rtol=1e-6)
    assert ways[0].noise == pytest.approx(ways[1].noise)
    design = np.lib.stride_tricks.sliding_window_view(x, 5)
    penalty = 0.1 * (design**2).sum() / 5
    wanted = np.linalg.solve(design.T @ design + penalty * np.eye(5), design.T @ y[2:-2])
    np.testing.assert_allclose(ways[0].kernel, wanted, atol=1e-12)
    plain = faltung.learn_kernel(x, y, 5)
    assert plain.condition == pytest.approx(np.linalg.cond(design))
    rest = design @ plain.kernel - y[2:-2]
    cov = rest @ rest / (56 - 5) * np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(plain.standard_error, np.sqrt(np.diag(cov)))


def test_a_ridge_makes_a_kernel_of_a_constant_picture():
    flat = np.full((9, 9), 3.0)
    with pytest.raises(ValueError, match="before is constant"):
        faltung.learn_kernel(flat, flat, (3, 3))
    learnt = faltung.learn_kernel(flat, flat, (3, 3), ridge=1e-9)
    assert learnt.kernel.sum() == pytest.approx(1)
    # zeros beyond the ends tell the taps apart
    k = np.arange(9.0).reshape(3, 3)
    y = faltung.correlate(flat, k)
    found = faltung.learn_kernel(flat, y, (3, 3), boundary="constant").kernel
    np.testing.assert_allclose(found, k, atol=1e-9)


def test_large_kernels_have_errors_by_both_ways():
    rng = np.random.default_rng(0)
    x, k = rng.standard_normal(1200), rng.random(260)
    y = faltung.correlate(x, k, boundary="reflect") + rng.normal(0, 0.1, x.shape)
    ways = [
        faltung.learn_kernel(x, y, 260, boundary="reflect", method=method) for method in METHODS
    ]
    np.testing.assert_allclose(ways[0].kernel, ways[1].kernel, atol=1e-9)
    np.testing.assert_allclose(ways[0].standard_error, ways[1].standard_error, rtol=1e-6)
    np.testing.assert_allclose(ways[0].condition, ways[1].condition, rtol=1e-6)


def test_blocks_change_nothing(monkeypatch):
    from faltung import learning

    rng = np.random.default_rng(0)
    x = rng.random((3, 20, 21))
    y = faltung.convolve(x, rng.random((3, 3)), stride=2) + rng.normal(0, 0.1, (3, 10, 11))
    whole = faltung.learn_kernel(x, y, (3, 3), stride=2)
    monkeypatch.setattr(learning, "BLOCK", 70)
    again = faltung.learn_kernel(x, y, (3, 3), stride=2)
    np.testing.assert_allclose(again.kernel, whole.kernel, rtol=1e-10)
    np.testing.assert_allclose(again.standard_error, whole.standard_error, rtol=1e-10)


RAMP = np.arange(20.0)
HOLE = np.where(RAMP == 7, np.nan, RAMP)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: faltung.learn_kernel(RAMP, RAMP[1:], 3), "gives \\(20,\\)"),
    (lambda: faltung.learn_kernel(HOLE, RAMP, 3), "before holds NaN or infinities, 1 of 20"),
    (lambda: faltung.learn_kernel([RAMP, RAMP], [RAMP, HOLE], 3), "after\\[1\\] holds NaN"),
    (lambda: faltung.learn_kernel([RAMP, RAMP], [RAMP], 3), "list of 2 arrays and after 1"),
    (lambda: faltung.learn_kernel(RAMP, RAMP, 15), "6 outputs do not determine 15 taps"),
    (lambda: faltung.learn_kernel(RAMP, RAMP, 3), "too smooth or periodic"),
    (lambda: faltung.learn_kernel(RAMP, RAMP, 3, method="gradient"), "too smooth or periodic"),
    (lambda: faltung.learn_kernel([RAMP, np.ones(20)], [RAMP, RAMP], 3), "before\\[1\\] are const"),
    (lambda: faltung.learn_kernel(RAMP, RAMP, 0), "size=0"),
    (lambda: faltung.learn_kernel(RAMP, RAMP, 3, ridge=-1), "ridge=-1"),
    (lambda: faltung.learn_kernel(RAMP, RAMP, 3, method="guess"), "unknown"),
    (lambda: faltung.learn_kernel(RAMP, RAMP, 3, limits=(1, 0)), "limits"),
    (lambda: faltung.learn_kernel(RAMP, RAMP, 3, limits=3), "limits"),
    (lambda: faltung.learn_kernel(RAMP, RAMP, 3, iterations=0), "iterations=0"),
])  # fmt: skip
def test_errors_say_what_to_do(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_command_learns_from_files(tmp_path, capsys):
    from faltung import cli

    edges, out = tmp_path / "edges.png", tmp_path / "k.npy"
    arguments = ["filter", str(PHOTOGRAPH), "--kernel", "edge", "-o", str(edges)]
    assert cli.run(arguments) == 0
    assert cli.run(["learn", str(PHOTOGRAPH), str(edges), "--size", "3x3", "-o", str(out)]) == 0
    np.testing.assert_allclose(np.load(out), EDGE, atol=1e-6)
    assert "1.0000  edge" in capsys.readouterr().out
    # arrays, flipped
    x, k = np.random.default_rng(0).random((20, 21)), np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", faltung.convolve(x, k, boundary="wrap"))
    files = [str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    np.save(tmp_path / "v.npy", np.stack([x, x[::-1], x.T[:20, :20].repeat(2, 1)[:, :21]]))
    volume = str(tmp_path / "v.npy")
    assert cli.run(["learn", volume, volume, "--size", "1x2x2"]) == 0
    assert "1x2x2" not in capsys.readouterr().out  # the few are printed
    assert cli.run(["learn", *files, "--size", "16x15", "--ridge", "1e-6"]) == 0
    told = capsys.readouterr().out
    assert "16x15 taps: -o taps.npy writes them" in told
    assert "left out (at the rim)" in told
    more = ["--size", "2x3", "--flip", "--boundary", "wrap", "--method", "gradient"]
    assert cli.run(["learn", *files, *more, "-o", str(out)]) == 0
    np.testing.assert_allclose(np.load(out), k, atol=1e-6)


def test_the_command_tells_of_another_size(tmp_path, capsys):
    from faltung import cli

    np.save(tmp_path / "y.npy", np.zeros((3, 4)))
    assert cli.run(["learn", str(PHOTOGRAPH), str(tmp_path / "y.npy"), "--size", "3"]) == 2
    told = capsys.readouterr().err
    assert "300 x 451 x 3 numbers and" in told
    assert "3 x 4: give two of one size" in told


@pytest.mark.parametrize("arguments", [
    ["--size", "3y3"], ["--size", "3x3x3"], ["--size", "0"], ["--size", "3", "-o", "k.png"], [],
    ["--size", "900x900"],
])  # fmt: skip
def test_the_command_tells_mistakes_in_a_line(arguments, capsys):
    from faltung import cli

    assert cli.run(["learn", str(PHOTOGRAPH), str(PHOTOGRAPH), *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
