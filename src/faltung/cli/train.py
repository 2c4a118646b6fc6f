"""``faltung train``, ``predict`` and ``evaluate``: networks learnt from data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faltung.cli.common import Interrupted, printable

if TYPE_CHECKING:
    from faltung.data import Dataset
    from faltung.nn import Augment, Graph

MODELS = ("lenet5", "lenet5-1998", "small", "series", "alexnet")
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

    found = reading.load(data)
    network = built(model, found, seed)
    checkpoint = output.with_name(output.name + ".checkpoint")
    descent = nn.Adam(rate or 3e-3, decay=decay) if optimiser == "adam" else nn.SGD(
        rate or 0.05, decay=decay
    )  # fmt: skip
    trainer = nn.Trainer(
        network, optimiser=descent, schedule=SCHEDULES[schedule](), epochs=epochs, batch=batch,
        seed=seed, smoothing=smoothing, class_weights="balanced" if balanced else None,
        augment=changes(augment), patience=patience, checkpoint=checkpoint, every=every,
        progress=not quiet and sys.stdout is not None and sys.stdout.isatty(),
        told=lambda epoch: click.echo(str(epoch)),
    )  # fmt: skip
    click.echo(f"{len(found.y)} of {network.input_shape}, {len(found.classes)} classes; "
               f"{network.count():,} parameters")  # fmt: skip
    with limited(workers) if workers else nullcontext():
        try:
            trainer.fit(found.x, found.y, validation=validation or None, resume=resume)
        except FloatingPointError as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            kept = "--resume goes on from the checkpoint" if checkpoint.exists() else "nothing kept"
            raise Interrupted(f"interrupted; {kept}.") from None
    nn.save(network, output)
    checkpoint.unlink(missing_ok=True)
    click.echo(printable(str(output)))


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

    if not text:
        return None
    options: dict[str, Any] = {}
    for part in text.split(","):
        name, _, value = (each.strip() for each in part.partition("="))
        kind = CHANGES.get(name)
        try:
            if kind is None or (kind is bool) == bool(value):
                raise ValueError
            options[name] = kind(value) if value else True
        except ValueError:
            raise click.UsageError(
                f"--augment {text}: {part!r} is unknown; say shift=2,flip,rotate=10,scale=0.1,"
                "cutout=4 or some of these."
            ) from None
    return Augment(**options)


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
        raise click.ClickException(f"{data}: class {unknown[0]!r} is none of the model's.")
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
    """Return the classes' names that a model was saved with."""
    count = network.output_shape[0]
    found = json.loads(network.notes.get("classes", "[]"))
    return [str(n) for n in found] if len(found) == count else [str(i) for i in range(count)]


def run(network: Graph, x: Any, workers: int | None) -> Any:
    """Return a network's outputs on so many processors."""
    from contextlib import nullcontext

    from faltung.settings import workers as limited

    with limited(workers) if workers else nullcontext():
        return network.predict(x)


@click.command("predict")
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@workers_option
def predict_command(model: Path, files: tuple[Path, ...], workers: int | None) -> None:
    """Name the class of images, or of all that data FILES hold, with MODEL's probability.

    \b
    Examples:
      faltung predict model cat.png dog.png
      faltung predict model series.csv
    """
    from faltung import image, nn
    from faltung.data import PICTURES, load
    from faltung.layers import softmax

    network = nn.load(model)
    classes = names(network)
    for file in files:
        if file.suffix.lower() in PICTURES:
            from faltung.data import dataset

            picture = image.read(file)
            x = dataset(picture[None], [0], str(file)).x
        else:
            x = load(file).x
        shares = softmax(run(network, x, workers))
        for number, each in enumerate(shares):
            best = int(each.argmax())
            where = str(file) if len(shares) == 1 else f"{file}:{number}"
            click.echo(f"{printable(where)}\t{printable(classes[best])}\t{each[best]:.4f}")
