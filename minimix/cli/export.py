"""`minimix export`."""

from pathlib import Path
from typing import Any

import click

from minimix.cli.bar import watch
from minimix.config import BUNDLED
from minimix.train.convert import QUANTISED
from minimix.train.job import ExportConfig


@click.command(short_help="Turn what was trained into files to serve.")
@click.argument("source", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), required=True, help="Folder to write."
)
@click.option("--base", default="", help="bundled, a folder or a hub id.  [default: the adapter's]")
@click.option(
    "--quantise",
    multiple=True,
    type=click.Choice(list(QUANTISED)),
    help="Also write it in fewer bits. May be given again; Ollama is pointed to the first.",
)
@click.option("--lora", is_flag=True, help="Also write the adapter alone, as a GGUF for its base.")
@click.option("--ollama", is_flag=True, help="Also write a Modelfile for ollama create.")
@click.option(
    "--tasks", default="", metavar="FILE", help="Tasks to check with.  [default: six of our own]"
)
@click.option(
    "--check/--no-check",
    default=True,
    help="Whether to compare each file with the model in transformers.  [default: check]",
)
@click.option("--threads", default=0, type=click.IntRange(0), help="0: all this machine allows.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier export in the folder.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
def command(source: Path, output: Path, overwrite: bool, quiet: bool, **given: Any) -> None:
    """Export SOURCE, an adapter or a whole model, to files that llama.cpp serves.

    SOURCE is what minimix train left, any LoRA in peft's layout, or a transformers folder. An
    adapter is merged into its base with full weights (model/, safetensors), which becomes a GGUF
    in f16, and from there what --quantise asks for. Each file is then run on a few tasks and
    compared with the model in transformers; one that is not the same model is an error.

    \b
    minimix export sft --output distiller --quantise q4_k_m
    minimix export sft --output distiller --lora --base bundled
    minimix distill data.jsonl --model distiller/distiller.q4_k_m.gguf
    """
    from minimix.train.export import export

    config = ExportConfig(**given)
    done = export(source, output, config, overwrite=overwrite, progress=watch(quiet=quiet))
    click.echo(_text(done, output))


def _text(done: Any, output: Path) -> str:
    lines = [
        f"written   {file.bytes:>13,}  {file.sha256}  {output / file.name}" for file in done.files
    ]
    lines += [f"check     {check}" for check in done.checks]
    if not done.checks:
        lines.append("check     not made: nobody has compared these files with the model")
    if done.lora:
        base = "" if done.base == BUNDLED else "--model BASE.gguf "
        lines.append(f"use it    minimix distill data.jsonl {base}--adapter {output / done.lora}")
    lines.append(f"use it    minimix distill data.jsonl --model {output / done.main}")
    return "\n".join(lines)
