"""``faltung demo``: the named kernels on a photograph."""

from __future__ import annotations

from pathlib import Path

import click

from faltung.cli.common import printable


@click.command("demo")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="The folder that the results go to.",
)
def demo_command(output: Path) -> None:
    """Filter a photograph with named kernels."""
    from faltung import demo

    demo.run(output, lambda line: click.echo(printable(line)))
