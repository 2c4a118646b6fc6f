"""``faltung train``, ``predict`` and ``evaluate``: networks learnt from data."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faltung.cli.common import Interrupted, fail, printable, say, speaking

if TYPE_CHECKING:
    from faltung.data import Dataset
    from faltung.nn import Augment, Graph

MODELS = ("lenet5", "lenet5-1998", "small", "series", "alexnet")
SHOWN = 10  # classes in an error
PAIR = "give a part between 0 and 1, or a pair of images and labels"
WORDS = {PAIR: "give a part between 0 and 1, or 0 for none"}
RATES = {"adam": 3e-3, "sgd": 0.05}
CHANGES = {"shift": int, "flip": bool, "rotate": float, "scale": float, "cutout": int}
workers_option = click.option(
    "--workers", type=click.IntRange(1, 1024), help="Processors used; default all."
)


@click.command("train")
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--model", type=click.Choice(MODELS), default="small", show_default=True)
@click.option(
    "-o", "--output", required=True, metavar="MODEL", type=click.Path(path_type=Path),
    help="Where to write what was learnt, as safetensors.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True)
@click.option("--rate", type=float, help="0.003 for adam, 0.05 for sgd, if not given.")
@click.option("--optimiser", type=click.Choice(("adam", "sgd")), default="adam", show_default=True)
@click.option("--decay", type=float, default=0.0, show_default=True, help="Of the weights.")
@click.option(
    "--schedule",
    type=click.Choice(("one-cycle", "cosine", "constant")),
    default="one-cycle",
    show_default=True,
)
@click.option(
    "--validation", type=float, default=0.1, show_default=True,
    help="The part that is not trained on; 0 for none.",
)  # fmt: skip
@click.option(
    "--patience",
    type=click.IntRange(1),
    help="Stop after so many epochs without a better loss, held out.",
)
@click.option("--smoothing", type=float, default=0.0, help="Of the labels.")
@click.option("--balanced", is_flag=True, help="Rare classes count more.")
@click.option("--augment", metavar="CHANGES", help="Such as shift=2,flip,rotate=10,cutout=4.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--every", type=float, default=30.0, show_default=True,
    help="Seconds between checkpoints, which lie beside MODEL.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the checkpoint, to the same bits.")
@click.option("-q", "--quiet", is_flag=True, help="No bar.")
@workers_option
def train_command(
    data: Path,
    model: str,
    output: Path,
    epochs: int,
    batch: int,
    rate: float | None,
    optimiser: str,
    decay: float,
    schedule: str,
    validation: float,
    patience: int | None,
    smoothing: float,
    balanced: bool,
    augment: str | None,
    seed: int,
    every: float,
    resume: bool,
    quiet: bool,
    workers: int | None,
) -> None:
    """Train a network on DATA: images or series with their classes.

    DATA is a folder with the files of MNIST or its kin, a folder of folders of images, one for each
    class, or a .npz, .csv or .ts file. What was learnt is written when the training ends; until
    then a checkpoint lies beside it.

    \b
    Examples:
      faltung train fashion-mnist/ --model lenet5 -o model
      faltung train photos/ --epochs 30 --augment shift=2,flip -o model
      faltung train series.csv --model series -o model
    """
    from contextlib import nullcontext

    from faltung import data as reading
    from faltung import nn
    from faltung.nn.optimisers import SCHEDULES
    from faltung.settings import workers as limited

    check_output(output)
    with speaking(WORDS):
        kind: Any = nn.Adam if optimiser == "adam" else nn.SGD
        descent = kind(RATES[optimiser] if rate is None else rate, decay=decay)
    changed = changes(augment)
    found = reading.load(data)
    if len(found.classes) < 2:
        raise click.ClickException(
            f"{data} has one class, {found.classes[0]!r}; there is nothing to tell apart."
        )
    checkpoint = output.with_name(output.name + ".checkpoint")
    with speaking(WORDS):
        network = built(model, found, seed)
        trainer = nn.Trainer(
            network, optimiser=descent, schedule=SCHEDULES[schedule](), epochs=epochs, batch=batch,
            seed=seed, smoothing=smoothing, class_weights="balanced" if balanced else None,
            augment=changed, patience=patience, checkpoint=checkpoint, every=every,
            progress=not quiet and sys.stdout is not None and sys.stdout.isatty(),
            told=lambda epoch: click.echo(line(epoch)),
        )  # fmt: skip
    if checkpoint.exists() and not resume:
        say(f"{checkpoint} is there: --resume goes on from it; now it is written anew.", "note")
    click.echo(f"{len(found.y)} of {network.input_shape}, {len(found.classes)} classes; "
               f"{network.count():,} parameters")  # fmt: skip
    with limited(workers) if workers else nullcontext(), speaking(WORDS):
        try:
            trainer.fit(found.x, found.y, validation=validation or None, resume=resume)
        except FloatingPointError as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            kept = "--resume goes on from the checkpoint" if checkpoint.exists() else "nothing kept"
            raise Interrupted(f"interrupted; {kept}.") from None
    try:
        nn.save(network, output)
    except OSError as error:
        raise click.ClickException(
            f"{output}: cannot be written ({error.strerror or error})"
            + ("; --resume writes it when there is room." if checkpoint.exists() else ".")
        ) from None
    checkpoint.unlink(missing_ok=True)
    click.echo(printable(str(output)))


def check_output(output: Path) -> None:
    """Refuse, before any work, a model's name that cannot be written or is something else's."""
    from faltung.files import check_writable
    from faltung.nn import saving

    if str(output) == "-":
        raise click.UsageError("-o -: a model is a file, not a stream; give it a name.")
    check_writable(output)
    if output.exists():
        texts: dict[str, str] = {}
        with suppress(ValueError):
            texts = saving.read(output)[1]
        if "faltung.network" not in texts:
            raise click.ClickException(
                f"{output} is there and is no model; remove it, or give -o another name."
            )


def line(epoch: Any) -> str:
    """Return an epoch's figures as a line."""
    held = ""
    if epoch.validation_loss == epoch.validation_loss:
        held = f"; held out {epoch.validation_loss:.4f}, {epoch.validation_accuracy:.2%}"
    return f"epoch {epoch.number}: loss {epoch.loss:.4f}, accuracy {epoch.accuracy:.2%}{held}"


def built(model: str, found: Dataset, seed: int) -> Graph:
    """Return a network for a data set, whose first layer standardises."""
    from faltung import nn

    shape, classes = found.x.shape[1:], len(found.classes)
    makers = {
        "lenet5": lambda: nn.lenet5(shape, classes, seed=seed),
        "lenet5-1998": lambda: nn.lenet5(shape, classes, form="1998", seed=seed),
        "small": lambda: nn.small_cnn(shape, classes, seed=seed),
        "series": lambda: nn.series_cnn(shape, classes, seed=seed),
        "alexnet": lambda: nn.alexnet(shape, classes, seed=seed),
    }
    made = makers[model]()
    deviation = float(found.x.std(dtype="f8")) or 1.0
    first = nn.Standardise(float(found.x.mean(dtype="f8")), deviation)
    network = nn.Sequential([first, *(node.layer for node in made.nodes)], shape, seed)
    network.notes["classes"] = json.dumps(found.classes)
    return network


def changes(text: str | None) -> Augment | None:
    """Return what a text such as ``shift=2,flip`` asks for."""
    from faltung.nn import Augment

    if text is None:
        return None
    options: dict[str, Any] = {}
    for part in text.split(","):
        name, _, value = (each.strip() for each in part.partition("="))
        kind = CHANGES.get(name)
        try:
            if kind is None or name in options or (kind is bool) == bool(value):
                raise ValueError
            options[name] = kind(value) if value else True
        except ValueError:
            raise click.UsageError(
                f"--augment {text}: {part!r} is unknown or there twice; say shift=2,flip,rotate=10,"
                "scale=0.1,cutout=4 or some of these."
            ) from None
    try:
        return Augment(**options)
    except ValueError as error:
        raise click.UsageError(f"--augment {text}: {error}") from None


@click.command("evaluate")
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@workers_option
def evaluate_command(model: Path, data: Path, workers: int | None) -> None:
    """Tell how well MODEL does on DATA: its part for testing, where it has one.

    Printed are accuracy, the confusion matrix (a row for each true class), and of each class how
    many were found (recall) and how many of those named so are (precision).
    """
    import numpy as np

    from faltung import nn
    from faltung.data import has_test, load
    from faltung.nn.evaluation import confusion

    network = nn.load(model)
    found = load(data, "test" if has_test(data) else "train")
    classes = names(network)
    numbers = {name: number for number, name in enumerate(classes)}
    unknown = [name for name in found.classes if name not in numbers]
    if unknown:
        known = ", ".join(classes[:SHOWN]) + (", ..." if len(classes) > SHOWN else "")
        raise click.ClickException(
            f"{data}: class {unknown[0]!r} is none of the model's, which are {known}."
        )
    y = np.array([numbers[name] for name in found.classes])[found.y]
    table = confusion(run(network, found.x, workers).argmax(axis=1), y, len(classes))
    click.echo(printed(table, classes))


def printed(table: Any, classes: list[str]) -> str:
    """Return a confusion matrix as text, with recall and precision."""
    right = table.diagonal()
    wide = max(4, *(len(str(n)) for n in table.ravel()))
    label = max(map(len, classes))
    numbers = "".join(str(i).rjust(wide + 1) for i in range(len(classes)))
    head = f"{' ' * (label + 4)}{numbers}    recall  precision"
    lines = [f"accuracy {right.sum() / table.sum():.2%} of {table.sum()}", "", head]
    for i, name in enumerate(classes):
        each = "".join(str(n).rjust(wide + 1) for n in table[i])
        recall, precision = (
            f"{right[i] / total:.2%}" if total else "-"
            for total in (table[i].sum(), table[:, i].sum())
        )
        lines.append(f"{i:2d}  {name.ljust(label)}{each}  {recall:>8}  {precision:>9}")
    return "\n".join(map(printable, lines))


def names(network: Graph) -> list[str]:
    """Return the classes' names that a model was saved with, or their numbers."""
    if len(network.output_shape) != 1:
        raise click.ClickException(
            f"the model's output is {network.output_shape} for an image; it must be (classes,)."
        )
    found: Any = None
    with suppress(ValueError, RecursionError):
        found = json.loads(network.notes.get("classes", "[]"))
    count = network.output_shape[0]
    known = isinstance(found, list) and all(isinstance(name, str) for name in found)
    return list(found) if known and len(found) == count else [str(i) for i in range(count)]


def run(network: Graph, x: Any, workers: int | None) -> Any:
    """Return a network's outputs on so many processors."""
    from contextlib import nullcontext

    import numpy as np

    from faltung.settings import workers as limited

    with limited(workers) if workers else nullcontext():
        outputs = network.predict(x)
    if not np.isfinite(outputs).all():
        raise click.ClickException("the model gives NaN or infinity: it is of no use.")
    return outputs


@click.command("predict")
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@workers_option
def predict_command(model: Path, files: tuple[Path, ...], workers: int | None) -> int:
    """Name the class of images, or of all that data FILES hold, with MODEL's probability.

    Of several files, those that cannot be read or do not fit are told, and the status is 1.

    \b
    Examples:
      faltung predict model cat.png dog.png
      faltung predict model series.csv
    """
    from faltung import nn
    from faltung.layers import softmax

    network = nn.load(model)
    classes = names(network)
    failed = 0
    for file in files:
        try:
            shares = softmax(run(network, samples(file), workers))
        except (ValueError, TypeError, OSError) as error:
            told = str(error) if str(file) in str(error) else f"{file}: {error}"
            if len(files) == 1:
                raise click.ClickException(told) from None
            failed = fail(told, 1)
            continue
        for number, each in enumerate(shares):
            best = int(each.argmax())
            where = str(file) if len(shares) == 1 else f"{file}:{number}"
            click.echo(f"{printable(where)}\t{printable(classes[best])}\t{each[best]:.4f}")
    return failed


def samples(file: Path) -> Any:
    """Return an image, or all that a file or folder of data holds."""
    import numpy as np

    from faltung import image
    from faltung.data import PICTURES, dataset, load

    if file.suffix.lower() not in PICTURES:
        return load(file).x
    picture = image.read(file)
    planes = picture[..., None] if picture.ndim == 2 else picture
    return dataset(np.moveaxis(planes, 2, 0)[None], [0], str(file)).x
