"""Names: the printed tables and the families that take parameters, as data, and how to ask."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import Parameter as Argument
from inspect import Signature, signature
from typing import Any

from faltung.kernels import gaussians, gradients, signals, smoothing
from faltung.kernels.checks import written
from faltung.kernels.kernel import Kernel
from faltung.kernels.tables import GROUPS, NAMED

DECIMAL = re.compile(r"[+-]?[0-9]{1,9}(\.[0-9]{0,24})?")  # any float above 1e-7
KEYWORD_ONLY = Argument.KEYWORD_ONLY
LARGEST = 1001  # side of a box given as text: a typing error should not fill the memory


@dataclass(frozen=True)
class Parameter:
    """A parameter of a family, as texts give it.

    Attributes
    ----------
    name : str
        Its name in a text, as in ``order=1``.
    kind : {"int", "float", "angle", "word", "orders"}
        An angle may end in ``deg``; orders are one for each axis, as in ``order=1/0``.
    low, high : float
        Bounds for texts, both allowed.
    argument : str
        Its name in the function, where that is another.
    words : tuple of str
        Those allowed, where it is a word.
    sides : int
        Up to how many axes may have a number each, as in ``3x5``.
    otherwise : str
        What it is where it is not given, where the function works that out.
    """

    name: str
    kind: str
    low: float = 0
    high: float = 0
    argument: str = ""
    words: tuple[str, ...] = ()
    sides: int = 1
    otherwise: str = ""

    @property
    def allowed(self) -> str:
        """Say in a few words what it may be."""
        if self.kind == "word":
            return ", ".join(self.words)
        if self.kind == "orders":
            return "0 to 4 for the last axis, or one for each, as in 1/0"
        if self.kind == "angle":
            return "degrees"
        more = "; or one for each axis, as in 3x5: down, across" if self.sides > 1 else ""
        return f"{written(self.low)} to {written(self.high)}{more}"

    def read(self, text: str) -> Any:
        """Return the value that a text gives, or raise ValueError."""
        if self.kind == "word":
            if text not in self.words:
                raise ValueError(f"{self.name} must be one of {', '.join(self.words)}.")
            return text
        if self.kind == "orders":
            if not re.fullmatch(r"[0-4](/[0-4])?", text):
                raise ValueError(
                    f"{self.name} must be 0 to 4 for the last axis, or one for each, as in 1/0."
                )
            given = [int(n) for n in text.split("/")]
            return given[0] if len(given) == 1 else tuple(given)
        if self.sides > 1 and "x" in text:
            parts = text.split("x")
            if len(parts) > self.sides or not all(parts):
                raise ValueError(
                    f"{self.name} must be one number, or one for each of {self.sides} axes, as in "
                    f"{'x'.join('357'[: self.sides])}."
                )
            return tuple(self.read(part.strip()) for part in parts)
        degrees = text.removesuffix("deg").removesuffix("\N{DEGREE SIGN}")
        number = degrees if self.kind == "angle" else text
        if self.kind == "int":
            fits = text.isascii() and text.isdigit() and len(text) < 9
            fits = fits and self.low <= int(text) <= self.high
        else:
            fits = DECIMAL.fullmatch(number) is not None
            fits = fits and self.low <= float(number) <= self.high
        if not fits:
            what = {"int": "a whole number", "angle": "degrees", "float": "a decimal"}[self.kind]
            raise ValueError(f"{self.name} must be {what} from {self.low} to {self.high}.")
        return int(text) if self.kind == "int" else float(number)


@dataclass(frozen=True)
class Family:
    """Kernels of one kind that differ in their parameters.

    Attributes
    ----------
    name : str
    group : str
        The kind of kernels it stands with.
    make : callable
        Returns the kernel.
    parameters : tuple of Parameter
        Those that the function takes by their places may be given so in texts, too.
    usual : str
        Parameters as text, for a list.
    others : tuple of str
        More of them, which :func:`faltung.kernels.nearest` looks at.
    fixed : tuple of (str, value)
        Arguments that are always the same.
    many : bool
        Whether the parameter given by its place may be repeated, one for each axis.
    """

    name: str
    group: str
    make: Callable[..., Kernel]
    parameters: tuple[Parameter, ...]
    usual: str
    others: tuple[str, ...] = ()
    fixed: tuple[tuple[str, Any], ...] = ()
    many: bool = False

    @property
    def form(self) -> str:
        """How it is asked for, as in ``gaussian:SIGMA``."""
        placed = [] if self.many else [p.name for p in self.placed][: self.usual.count(",") + 1]
        return f"{self.name}:{','.join(placed).upper() or 'DISTANCE,...'}"

    @property
    def placed(self) -> tuple[Parameter, ...]:
        """The parameters that may be given by their places: those of the function."""
        if self.many:
            return self.parameters[:1]
        taken = signature(self.make).parameters
        return tuple(
            p for p in self.parameters if taken[p.argument or p.name].kind is not KEYWORD_ONLY
        )

    @property
    def usage(self) -> Iterator[str]:
        """Yield the parameters, what they may be, and what they are where not given."""
        taken = signature(self.make).parameters
        yield f"Any: {self.form}, with its parameters; those with an = only by name:"
        for p in self.parameters:
            usual = getattr(taken.get(p.argument or p.name), "default", Signature.empty)
            usual = written(usual) if isinstance(usual, float) else usual
            usual = p.otherwise or ("" if usual is Signature.empty else usual)
            name = p.name if p in self.placed else f"{p.name}="
            yield f"  {name:<12}{p.allowed}" + (f"; usually {usual}" if usual != "" else "")

    def kernel(self, text: str) -> Kernel:
        """Return the kernel of parameters as text, or raise ValueError."""
        placed: list[Any] = []
        named: dict[str, Any] = dict(self.fixed)
        parameters = {p.name: p for p in self.parameters}
        for part in text.split(",") if text else []:
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if equals:
                found = parameters.get(name)
                if found is None:
                    raise ValueError(
                        f"{name!r} is none of its parameters: {', '.join(parameters)}."
                    )
                argument = found.argument or found.name
                if argument in named:
                    raise ValueError(f"{name} is given twice.")
                named[argument] = found.read(value)
            elif named.keys() - dict(self.fixed):
                raise ValueError(f"{part.strip()!r} stands after a parameter with a name.")
            elif self.many or len(placed) < len(self.placed):
                at = 0 if self.many else len(placed)
                placed.append(self.placed[at].read(name))
            else:
                raise ValueError(self.too_many())
        if not self.many:
            for parameter, value in zip(self.parameters, placed, strict=False):
                argument = parameter.argument or parameter.name
                if argument in named:
                    raise ValueError(f"{parameter.name} is given twice.")
                named[argument] = value
            placed = []
        try:
            signature(self.make).bind(*placed, **named)
        except TypeError as error:
            raise ValueError(f"{error}.") from None
        return self.make(*placed, **named)

    def too_many(self) -> str:
        """Say which parameters stand without a name, and how the others are given."""
        placed = self.placed
        text = f"only {' and '.join(p.name for p in placed)} may stand without a name"
        if rest := [f"{p.name}=" for p in self.parameters if p not in placed]:
            text += f"; for others write {', '.join(rest)}"
        if placed[0].sides > 1:
            text += f"; one {placed[0].name} for each axis as in 2x3: down, across"
        return f"{text}."


def families() -> tuple[Family, ...]:
    """Return all families."""
    size = Parameter("n", "int", 1, LARGEST, "size")
    box = Parameter("n", "int", 1, LARGEST, "size", sides=2)
    small = Parameter("n", "int", 1, 61, "size")
    sigma = Parameter("sigma", "float", 0.1, 300, sides=3)
    least = Parameter("sigma", "float", 0.3, gaussians.REACH)
    angle = Parameter("angle", "angle", -3600, 3600)
    cut = Parameter("cut", "float", 1, 10)
    axes = Parameter("axes", "int", 1, 3, otherwise="2")
    factor = Parameter("n", "int", 1, 64, "factor")
    smooth, change, second = "smoothing and sharpening", "gradients", "Laplacians"
    one, waves, up = "signals (one axis)", "wavelets", "shifts and interpolation"
    kind = Parameter("kind", "word", words=gaussians.KINDS)
    few = Parameter("axes", "int", 1, 2, otherwise="2")
    odd = Parameter("n", "int", 3, 31, "size")
    order8 = Parameter("n", "int", 1, 8, "order")
    return (
        Family("box", smooth, smoothing.box, (box, few), "3",
               ("5", "7", "9", "2,axes=1", "3,axes=1", "5,axes=1", "2")),
        Family("gaussian", smooth, gaussians.gaussian,
               (sigma, Parameter("order", "orders"), kind, cut, axes), "1",
               ("0.5", "1.5", "2", "2.5", "3", "5", "1,order=1", "2,order=1", "1,order=2",
                "2,order=2", "1,order=1/1", "2,order=1/1", "1,axes=1", "2,axes=1",
                "1,order=1,axes=1", "2,order=1,axes=1")),
        Family("tent", smooth, smoothing.tent, (size, few), "5", ("3", "7", "9", "5,axes=1")),
        Family("binomial", smooth, smoothing.binomial, (small, axes), "5",
               ("3", "7", "9", "3,axes=1", "5,axes=1")),
        Family("disk", smooth, smoothing.disk, (Parameter("radius", "float", 0.1, 300),), "3",
               ("1", "1.5", "2", "5")),
        Family("motion", smooth, smoothing.motion,
               (Parameter("length", "float", 1, 500), angle), "15,30deg",
               ("5,0deg", "9,0deg", "15,0deg", "9,45deg", "15,45deg", "15,60deg")),
        Family("unsharp", smooth, gaussians.unsharp,
               (Parameter("sigma", "float", 0.1, gaussians.REACH),
                Parameter("amount", "float", 0, 100), cut), "1", ("2", "3", "1,0.5", "2,0.5")),
        Family("high-boost", smooth, gaussians.high_boost,
               (Parameter("amount", "float", 0.01, 100),), "1.5", ("2", "3")),
        Family("sobel.x", change, gradients.sobel, (odd,), "5", ("7",),
               (("dx", 1), ("dy", 0))),
        Family("sobel.y", change, gradients.sobel, (odd,), "5", ("7",),
               (("dx", 0), ("dy", 1))),
        Family("steerable", change, gaussians.steerable,
               (least, angle, Parameter("order", "int", 1, 2), cut), "2,30deg",
               ("1,0deg", "1,30deg", "1,45deg", "2,45deg", "2,30deg,order=2", "2,45deg,order=2")),
        Family("log", second, gaussians.log, (least, cut), "2", ("1", "1.4", "3")),
        Family("dog", second, gaussians.dog,
               (least, Parameter("wider", "float", 0.3, 100, otherwise="1.6 times sigma"), cut),
               "1,1.6", ("1,2", "2", "3")),
        Family("gabor", "texture", gaussians.gabor,
               (Parameter("wavelength", "float", 2, 200), angle,
                Parameter("sigma", "float", 0.3, 100, otherwise="0.56 times the wavelength"),
                Parameter("aspect", "float", 0.2, 5),
                Parameter("phase", "angle", -3600, 3600), cut), "8,45deg",
               ("4,0deg", "4,45deg", "8,0deg", "8,30deg", "8,0deg,phase=90deg",
                "8,45deg,phase=90deg")),
        Family("bilinear", up, signals.bilinear, (factor, few), "2", ("3", "4")),
        Family("bicubic", up, signals.bicubic, (factor, few), "2", ("3", "4")),
        Family("shift", up, signals.shift,
               (Parameter("distance", "float", -1000, 1000),
                Parameter("method", "word", words=signals.METHODS)), "1,2.5", (), (), True),
        Family("soft-shift", one, signals.soft_shift,
               tuple(Parameter(name, "float", 0, 1) for name in ("left", "stay", "right")),
               "0.8,0.1,0.1"),
        Family("age.exponential", one, signals.exponential_age,
               (Parameter("alpha", "float", 0.01, 1),
                Parameter("taps", "int", 1, signals.LONGEST,
                          otherwise="as many as leave out less than 1e-4")), "0.3", ("0.5", "0.1")),
        Family("age.linear", one, signals.linear_age,
               (Parameter("n", "int", 1, signals.LONGEST, "taps"),), "5", ("3", "10")),
        Family("savgol", one, signals.savitzky_golay,
               (Parameter("window", "int", 1, signals.LONGEST), Parameter("degree", "int", 0, 12),
                Parameter("deriv", "int", 0, 12, "derivative"),
                Parameter("spacing", "float", 1e-9, 1e9)), "7,2",
               ("5,2", "9,2", "11,4", "3,1,deriv=1", "5,2,deriv=1", "7,2,deriv=1", "7,2,deriv=2")),
        Family("daubechies.low", waves, signals.wavelet, (order8,), "2", ("1", "3", "4"),
               (("band", "low"),)),
        Family("daubechies.high", waves, signals.wavelet, (order8,), "2", ("1", "3", "4"),
               (("band", "high"),)),
    )  # fmt: skip


FAMILIES: dict[str, Family] = {family.name: family for family in families()}


def names() -> list[str]:
    """Return the names of all kernels; those that take parameters stand with their usual ones.

    Examples
    --------
    >>> names()[:3]
    ['identity', 'edge-diagonal', 'edge-cross']
    >>> "motion:15,30deg" in names()
    True
    """
    return [*NAMED, *(f"{family.name}:{family.usual}" for family in FAMILIES.values())]


def groups() -> dict[str, list[str]]:
    """Return the same names by what the kernels are for.

    Examples
    --------
    >>> groups()["Laplacians"][-1]
    'dog:1,1.6'
    """
    found = {group: [kernel.name for kernel in kernels] for group, kernels in GROUPS.items()}
    for family in FAMILIES.values():
        found.setdefault(family.group, []).append(f"{family.name}:{family.usual}")
    return found


def spelling(name: str) -> str:
    """Return a name as it is compared: no case, and one kind of mark between its words."""
    return re.sub("[._-]", "-", name).lower()


SPELLED = {spelling(known): kernel for known, kernel in NAMED.items()}
MAKERS = [family.make.__name__ for family in FAMILIES.values()]
FAMILIES_SPELLED = {  # by the functions' names, too, where a function has one family
    spelling(known): family
    for family in FAMILIES.values()
    for known in (family.name, family.make.__name__)
    if known == family.name or MAKERS.count(known) == 1
}


def get(name: str) -> Kernel:
    """Return the kernel of a name, such as ``sharpen``, ``box:5`` or ``motion:15,30deg``.

    Case does not matter, and ``.``, ``-`` and ``_`` are the same. Parameters come after a colon, by
    their places or by their names: ``gaussian:2.5,order=1``.

    Raises
    ------
    ValueError
        Where there is none of that name; the message tells what is like it.

    Examples
    --------
    >>> get("gaussian3")
    <Kernel gaussian3: [[1, 2, 1], [2, 4, 2], [1, 2, 1]] / 16>
    >>> get("savgol:5,2,deriv=1")
    <Kernel savgol:5,2,deriv=1: [2, 1, 0, -1, -2] / 10>
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a kernel is a text; got {type(name).__name__}.")
    found = SPELLED.get(spelling(name))
    if found is not None:
        return found
    start, _, parameters = name.partition(":")
    family = FAMILIES_SPELLED.get(spelling(start))
    if family is not None:
        try:
            return family.kernel(parameters.strip() or family.usual)
        except ValueError as error:
            shown = name if len(name) <= 60 else name[:57] + "..."
            raise ValueError(
                f"kernel {shown!r}: {error} Write it as in {family.name}:{family.usual}."
            ) from None
    raise ValueError(unknown(name))


def members(name: str) -> list[str]:
    """Return the names of a set of kernels, such as those of ``sobel`` or ``kirsch``.

    Examples
    --------
    >>> members("sobel")
    ['sobel.x', 'sobel.y']
    >>> members("laplacian")[:2]
    ['laplacian4', 'laplacian8']
    """
    spelled = spelling(name)
    if not spelled or spelled in SPELLED or spelled in FAMILIES_SPELLED:
        return []
    starts = {known: (known.rpartition(".")[0], known.rstrip("0123456789")) for known in NAMED}
    return [known for known, both in starts.items() if spelled in map(spelling, both)]


def pairs() -> list[str]:
    """Return the names that stand for a pair of kernels, for the gradient across and down.

    Examples
    --------
    >>> pairs()
    ['sobel', 'scharr', 'scharr-optimal', 'prewitt', 'roberts']
    """
    starts = [name.removesuffix(".x") for name in NAMED if name.endswith(".x")]
    return [*starts, "roberts"]


def pair(name: str) -> tuple[Kernel, Kernel]:
    """Return the two kernels of a gradient, to the right and downwards, such as those of ``sobel``.

    Roberts' kernels differ along the diagonals; ``roberts`` are their sums and differences over
    ``sqrt(2)``, which turn the same gradient to the rows and columns: it is as steep.

    Parameters
    ----------
    name : str
        One of :func:`pairs`, or ``sobel:5`` for larger ones.

    Raises
    ------
    ValueError
        Where there is no such pair; the message tells which there are.

    Examples
    --------
    >>> pair("prewitt")[0]
    <Kernel prewitt.x: [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]>
    >>> (pair("roberts")[1] * 2**0.5).array.round(12).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    start, colon, parameters = name.strip().partition(":")
    known = {spelling(each): each for each in pairs()}.get(spelling(start))
    if known == "roberts" and not colon:
        falling, rising = NAMED["roberts.pos"], NAMED["roberts.neg"]
        across, down = (rising - falling) / 2**0.5, -(rising + falling) / 2**0.5
        about = "From Roberts' two diagonals: the gradient"
        return (
            across.renamed("roberts across", f"{about} to the right.", falling.source),
            down.renamed("roberts down", f"{about} downwards.", falling.source),
        )
    if known and (not colon or f"{known}.x" in FAMILIES):
        return get(f"{known}.x{colon}{parameters}"), get(f"{known}.y{colon}{parameters}")
    shown = name if len(name) <= 60 else name[:57] + "..."
    raise ValueError(
        f"kernel {shown!r} is no pair; {', '.join(pairs())} are, and sobel:5 with any odd side. Or "
        "give two kernels: one for the gradient to the right, one downwards."
    )


def attribute(name: str) -> Any:
    """Return what ``faltung.kernels`` has under a name's other spelling, or raise AttributeError.

    Examples
    --------
    >>> attribute("kirsch_ne").name, attribute("savgol").__name__
    ('kirsch.ne', 'savitzky_golay')
    """
    spelled = spelling(name)
    if spelled in SPELLED:
        return SPELLED[spelled]
    family = FAMILIES_SPELLED.get(spelled)
    if family is not None and MAKERS.count(family.make.__name__) == 1:
        return family.make
    if family is not None:
        known = f"{family.name}:{family.usual}"
        raise AttributeError(
            f"faltung.kernels has no {name!r}; it has get({known!r}), and {family.make.__name__}()."
        )
    if several := members(name):
        raise AttributeError(f"faltung.kernels has no {name!r}; it has {', '.join(several)}.")
    raise AttributeError(f"faltung.kernels has no {name!r}.{alike(name)} names() lists all.")


def alike(name: str) -> str:
    """Return a question whether names that are like it were meant; nothing where none are."""
    sets = [known.rpartition(".")[0] for known in NAMED if "." in known]
    known = list(dict.fromkeys([*NAMED, *FAMILIES, *sets]))
    head, _, given = name.lower().partition(":")
    close = [
        f"{each}:{given}" if given and each in FAMILIES else each
        for each in difflib.get_close_matches(head, known, n=3)
    ]
    return f" Did you mean {' or '.join(close)}?" if close else ""


def unknown(name: str) -> str:
    """Say that there is no kernel of a name, and what may have been meant."""
    shown = name if len(name) <= 60 else name[:57] + "..."
    if several := members(name):
        return f"kernel {shown!r} stands for several: {', '.join(several)}. Name one of them."
    if name.startswith("[") or name.endswith((".npy", ".csv", ".json", ".png")):
        return f"kernel {shown!r} is no name; faltung.kernels.parse takes numbers and files, too."
    if re.fullmatch(r"[-+0-9.,;/e ]+", shown):
        return f"kernel {shown!r}: numbers stand in brackets, as in [[{name[:20]}]] or [[1,2,1]]/4."
    return (
        f"there is no kernel named {shown!r}.{alike(shown)} `faltung kernels` and "
        "faltung.kernels.names() list them; the command and faltung.kernels.parse take numbers "
        "such as [[0,1,0],[1,-4,1],[0,1,0]]/4 and .npy, .csv, .json and .png files, too."
    )
