"""``faltung kernels``: the named kernels and their numbers."""

from __future__ import annotations

import click


@click.command("kernels")
@click.argument("name", required=False)
def kernels_command(name: str | None) -> None:
    """List the named kernels, or show the numbers of one.

    \b
    Examples:
      faltung kernels
      faltung kernels gaussian5
      faltung kernels gaussian:2.5
    """
    from faltung import kernels

    if name is not None:
        click.echo(str(kernels.get(name)))
        return
    for known in kernels.names():
        kernel = kernels.get(known)
        size = "x".join(map(str, kernel.shape))
        click.echo(f"{click.style(f'{known:<14}', bold=True)}{size:<5}{kernel.about}")
