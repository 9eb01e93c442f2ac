"""`minimix report`."""

from pathlib import Path

import click


@click.command(short_help="Make the report of a run again, and open it.")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--open", "shown", is_flag=True, help="Show it in the browser.")
def command(folder: Path, shown: bool) -> None:
    """Make report.html of an output FOLDER again, out of its report.json.

    \b
    minimix report data.distilled --open
    """
    from minimix.report import remake

    page = remake(folder)
    click.echo(page)
    if shown:
        click.launch(page.resolve().as_uri())
