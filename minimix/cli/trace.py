"""`minimix trace`."""

import json
from pathlib import Path
from typing import Any

import click


@click.command(short_help="Show where row ID of a result came from.")
@click.argument("row_id", metavar="ID")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the run.  [default: the only *.distilled here]",
)
def command(row_id: str, output: Path | None) -> None:
    """Show where row ID of a result came from: its sources as they stand in the input.

    ID is one of provenance.jsonl, or the beginning of one. Every source is read again and held
    against its recorded hash.
    """
    from minimix.tracing import only_output, trace

    traced = trace(row_id, output or only_output(Path()))
    click.echo(f"{traced.line['id']}  {traced.line['origin']}, rated {traced.line['rating']:.2f}")
    click.echo(_json(traced.row))
    for source in traced.sources:
        click.echo(f"\nfrom {source.place}  ({source.state})")
        if source.row is not None:
            click.echo(_json(source.row))


def _json(row: Any) -> str:
    return json.dumps(row, ensure_ascii=False, indent=2, default=str)
