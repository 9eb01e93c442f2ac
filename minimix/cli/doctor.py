"""`minimix doctor`."""

import click

from minimix.config import BUNDLED


@click.command(short_help="Say what is installed, and what will be used.")
@click.option("--model", default=BUNDLED, show_default=True, help="Model to look at.")
def command(model: str) -> None:
    """Say what is installed, what each extra would add, and what a run would use here."""
    from minimix.health import checkup

    for name, value in checkup(model):
        click.echo(f"{name:<24} {value}")
