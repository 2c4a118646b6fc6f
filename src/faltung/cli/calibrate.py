"""``faltung calibrate``: the table that plans choose by."""

from __future__ import annotations

import click


@click.command("calibrate")
def calibrate_command() -> None:
    """Measure this machine, for its plans.

    Plans choose their method by its figures. It takes a few seconds. The table goes into the
    user's cache directory; delete the file to go back to the usual one.
    """
    from dataclasses import asdict

    from faltung import machine

    found = machine.calibrate()
    usual = asdict(machine.Machine())
    for name, value in asdict(found).items():
        click.echo(f"{name:<14}{value:10.3g}   usually {usual[name]:.3g}")
    if machine.load() == found:
        click.echo(f"kept in {click.format_filename(machine.path())}")
