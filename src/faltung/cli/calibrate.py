"""``faltung calibrate``: the table that plans choose by."""

from __future__ import annotations

import click

from faltung.cli.common import printable


@click.command("calibrate")
def calibrate_command() -> None:
    """Measure this machine, for its plans.

    Plans choose their method by its figures. It takes a few seconds, in which nothing else should
    run. The table goes into the user's cache directory; delete the file to go back to the one that
    ships.
    """
    from dataclasses import asdict

    from faltung import machine

    found = machine.calibrate()
    shipped = asdict(machine.Machine())
    click.echo(f"{'':<14}{'here':>14}{'shipped':>10}")
    for name, value in asdict(found).items():
        unit = machine.UNITS[name]
        measured = name in machine.MEASURED and value != shipped[name]  # some need the library
        here = f"{value:.3g}" if measured else "not measured"
        click.echo(f"{name:<14}{here:>14}{shipped[name]:>10.3g}  {unit}")
    if machine.load() == found:
        click.echo(f"kept in {printable(str(machine.path()))}")
