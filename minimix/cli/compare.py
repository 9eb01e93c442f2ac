"""`minimix compare`."""

from pathlib import Path
from typing import Any

import click

from minimix.cli.bar import tell, watch
from minimix.cli.train import given_settings, settings_of
from minimix.config import DistillConfig, read_yaml
from minimix.train.settings import SftConfig, with_settings

OWN = frozenset(
    ("arms", "matched", "seeds", "held_out", "hold", "eval_tasks", "eval_folder", "eval_limit")
)


def _listed(_: click.Context, __: click.Parameter, given: str | None) -> tuple[str, ...] | None:
    """Return a text with commas as a list."""
    return None if given is None else tuple(one.strip() for one in given.split(",") if one.strip())


@click.command(short_help="Does the distilled set train a better model than plain subsets?")
@click.argument("source")
@click.option("--budget", help="Rows of a set: a number, or a share such as 10%.  [default: 3%]")
@click.option("--arms", callback=_listed, help="Sets, with commas.  [default: all nine]")
@click.option("--matched", callback=_listed, help="tokens, rows or both.  [default: tokens,rows]")
@click.option("--seeds", type=click.IntRange(1), help="Students of each set.  [default: 3]")
@click.option("--held-out", help="Samples that students are judged on: a file or a hub id.")
@click.option(
    "--hold",
    type=click.IntRange(3),
    help="High samples taken out of SOURCE for that, where none are named.  [default: 200]",
)
@click.option("--eval-tasks", callback=_listed, help="Tasks of lm-evaluation-harness.")
@click.option("--eval-folder", help="Folder that defines some of them, for files of your own.")
@click.option(
    "--eval-limit", type=click.IntRange(1), help="Questions of each task.  [default: all]"
)
@click.option(
    "--distill",
    "distilling",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Settings of minimix distill, from a YAML file: the distiller, the rater, ...",
)
@settings_of(SftConfig)
def command(
    source: str,
    output: Path,
    preset: str,
    budget: str | None,
    distilling: Path | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Train students on what distilling makes of SOURCE and on plain subsets, and compare them.

    Sets: random, longest, top_rated, high, distilled, mixed_3_7, mixed_5_5, mixed_7_3 (originals to
    fusions), each with the same tokens and again with the same rows, and full in one pass. Students
    train as minimix train sft does, and are judged by the loss on samples that none has seen, and
    by tasks of lm-evaluation-harness (pip install 'minimix[eval]') where some are named. The
    verdict may be "no difference".

    The output folder holds compare.md, compare.json, compare.svg and every student. A run that is
    stopped goes on when the same command is started again; what is finished is not done twice.

    \b
    minimix compare data.jsonl -o claim --preset cpu
    minimix compare data.jsonl -o claim --preset 24gb --base Qwen/Qwen2.5-1.5B-Instruct
    minimix compare data.jsonl -o claim --preset cpu --arms random,longest,mixed_5_5 --seeds 5
    minimix compare data.jsonl -o claim --preset 24gb --eval-tasks mmlu,gsm8k --eval-limit 200
    """
    from minimix.compare import page
    from minimix.compare.arrow import compare
    from minimix.compare.settings import Asked, CompareConfig

    given = given_settings(options)
    own = {name: given.pop(name) for name in OWN & given.keys()}
    settings = {
        **(read_yaml(distilling) if distilling else {}),
        **({"budget": budget} if budget else {}),
    }
    asked = Asked(
        config=CompareConfig(**own),
        distilling=DistillConfig().with_settings(settings),
        student=with_settings(SftConfig, preset, given),
    )
    found = compare(source, asked, output, progress=watch(quiet=quiet), say=tell)
    page.write(found, output)
    click.echo(page.verdict(found))
    click.echo(f"written   {output / 'compare.md'}")
