"""``faltung train``: networks learnt from data."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faltung.cli.common import Interrupted, printable, say, speaking
from faltung.cli.predict import TRUSTED, limited, seen, workers_option

if TYPE_CHECKING:
    from faltung.data import Dataset
    from faltung.nn import Augment, Graph

MODELS = ("lenet5", "lenet5-1998", "small", "series", "alexnet")
CHANGES = {"shift": int, "flip": bool, "rotate": float, "scale": float, "cutout": int}
PAIR = "give a part between 0 and 1, or a pair of images and labels"
WORDS = {PAIR: "give a part between 0 and 1, or 0 for none", TRUSTED: "; make it smaller"}
RATES = {"adam": 3e-3, "sgd": 0.05}
BATCHES, STEPS = 16, 300  # at least so many batches an epoch, and so many in all, by default


@click.command("train")
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--model", type=click.Choice(MODELS), help="By default small for images, series for series."
)
@click.option(
    "-o", "--output", required=True, metavar="MODEL", type=click.Path(path_type=Path),
    help="Where to write what was learnt, as safetensors.",
)  # fmt: skip
@click.option(
    "--size", metavar="SIDE|ROWSxCOLUMNS",
    help="Bring pictures to this size, here and later: 64 or 48x64.",
)  # fmt: skip
@click.option("--grey", is_flag=True, help="Read pictures as grey.")
@click.option(
    "--epochs", type=click.IntRange(1), help="By default 10, or more where the data is little."
)
@click.option(
    "--batch", type=click.IntRange(1), help="By default 64, or less where the data is little."
)
@click.option("--rate", type=float, help="Learning rate; by default 0.003 for adam, 0.05 for sgd.")
@click.option("--optimiser", type=click.Choice(("adam", "sgd")), default="adam", show_default=True)
@click.option("--decay", type=float, default=0.0, show_default=True, help="Weight decay.")
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
@click.option("--smoothing", type=float, default=0.0, help="Label smoothing, 0 to 1.")
@click.option("--balanced", is_flag=True, help="Weigh classes by one over their frequency.")
@click.option("--augment", metavar="CHANGES", help="Such as shift=2,flip,rotate=10,cutout=4.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--every", type=float, default=30.0, show_default=True,
    help="Seconds between checkpoints, which lie beside MODEL.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the checkpoint, to the same bits.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
@workers_option
def train_command(
    data: Path,
    model: str | None,
    output: Path,
    size: str | None,
    grey: bool,
    epochs: int | None,
    batch: int | None,
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
    class, or a .npz, .csv or .ts file, or a folder with a pair X_TRAIN.ts and X_TEST.ts. What was
    learnt is written when the training ends; until then a checkpoint lies beside it. Ctrl-C keeps
    one, too.

    \b
    Examples:
      faltung train fashion-mnist/ --model lenet5 -o model
      faltung train photos/ --size 64 --augment shift=4,flip -o model
      faltung train series.csv --patience 10 -o model
    """
    from faltung import data as reading
    from faltung import nn
    from faltung.nn.optimisers import SCHEDULES
    from faltung.nn.training import digest

    checkpoint = output.parent / f"{output.name}.checkpoint"
    prepared(output, checkpoint, resume)
    changed = changes(augment)
    with speaking(WORDS):
        kind: Any = nn.Adam if optimiser == "adam" else nn.SGD
        descent = kind(RATES[optimiser] if rate is None else rate, decay=decay)
        found = reading.load(
            data, size=sides(size), channels=1 if grey else None, progress=seen(quiet)
        )
    if len(found.classes) < 2:
        raise click.ClickException(
            f"{data} has one class, {found.classes[0]!r}; two are the least."
        )
    with speaking(WORDS):
        network = built(model, found, seed)
    network.notes["trained"] = json.dumps(
        {"digest": digest(found.x), "validation": validation, "seed": seed}
    )
    if size is not None:
        network.notes["size"] = size
    least = 1 << max(3, min(6, (len(found.y) // BATCHES).bit_length() - 1))
    batch = batch or least
    epochs = epochs or max(10, -(-STEPS * batch // len(found.y)))
    with speaking(WORDS):
        trainer = nn.Trainer(
            network, optimiser=descent, schedule=SCHEDULES[schedule](), epochs=epochs, batch=batch,
            seed=seed, smoothing=smoothing, class_weights="balanced" if balanced else None,
            augment=changed, patience=patience, checkpoint=checkpoint, every=every,
            progress=seen(quiet),
            told=lambda epoch: click.echo(str(epoch)),
        )  # fmt: skip
    click.echo(
        f"{len(found.y):,} of {network.input_shape}, {len(found.classes)} classes; "
        f"{network.count():,} parameters; {epochs} epochs in batches of {batch}"
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    with limited(workers), speaking(WORDS):
        try:
            history = trainer.fit(found.x, found.y, validation=validation or None, resume=resume)
        except FloatingPointError as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            kept = "--resume goes on from the checkpoint" if checkpoint.exists() else "nothing kept"
            raise Interrupted(f"interrupted; {kept}.") from None
    try:
        nn.save(network, output, classes=found.classes)
    except OSError as error:
        raise click.ClickException(
            f"{output}: cannot be written ({error.strerror or error})"
            + ("; --resume writes it when there is room." if checkpoint.exists() else ".")
        ) from None
    checkpoint.unlink(missing_ok=True)
    if patience is not None:
        best = min(history, key=lambda epoch: epoch.validation_loss).number
        click.echo(f"stopped after epoch {len(history)}; the least loss held out was in {best}, "
                   "and that is kept")  # fmt: skip
    click.echo(printable(str(output)))


def prepared(output: Path, checkpoint: Path, resume: bool) -> None:
    """See to it before any work that its result can be written, and replaces nothing else."""
    from faltung.files import check_writable
    from faltung.nn import saving

    if str(output) == "-":
        raise click.UsageError("-o -: a model is a file, not a stream; give it a name.")
    if output.is_dir():
        raise click.UsageError(f"-o {output}: this is a folder; name a file.")
    missing = [output, *(p for p in output.parents if not os.path.lexists(p))]
    check_writable(missing[-1])  # folders are made when there is something to put there
    if output.exists():
        texts: dict[str, str] = {}
        with suppress(ValueError):
            texts = saving.read(output)[1]
        if "faltung.network" not in texts:
            raise click.ClickException(
                f"{output} is there and is no model; remove it, or give -o another name."
            )
    if resume and not checkpoint.exists():
        say(f"{checkpoint} is not there: training begins anew.", "warning", "yellow")
    if checkpoint.exists() and not resume:
        raise click.UsageError(
            f"{checkpoint} is of a training that did not end; give --resume to go on, or remove it."
        )


def sides(text: str | None) -> tuple[int, int] | None:
    """Return rows and columns of a text such as 48x64, or 64 for a square."""
    if text is None:
        return None
    try:
        found = tuple(int(n) for n in text.lower().split("x"))
        if min(found) < 1:
            raise ValueError
        return {1: (found[0], found[0]), 2: found}[len(found)]  # type: ignore[return-value]
    except (ValueError, KeyError):
        raise click.UsageError(f"--size {text}: give 64, or rows and columns as 48x64.") from None


def built(model: str | None, found: Dataset, seed: int) -> Graph:
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
    made = makers[model or ("series" if len(shape) == 2 else "small")]()
    deviation = float(found.x.std(dtype="f8")) or 1.0
    first = nn.Standardise(float(found.x.mean(dtype="f8")), deviation)
    return nn.Sequential([first, *(node.layer for node in made.nodes)], shape, seed)


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
