"""The Dockerfile without a docker daemon: its steps in order, each in a root made by debootstrap.

    sudo python -m tests.dockerfile_steps --root /var/tmp/minimix-docker

A stage is a copy of the root of its FROM; RUN is `sh -c` in a chroot with mounts of its own; COPY,
ENV, ARG, WORKDIR and USER do what they do in Docker, and stages that the last one does not need
are passed over. At last `docker run -v FOLDER:/data minimix distill /data/data.jsonl` is done
without a network, as two users. Official Python images are Debian with Python in /usr/local: here
it is Debian's own Python of the same version. Only debootstrap, root and a Debian mirror are
needed; no part of the test suite runs this, `make docker-check` does.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
SUITE = re.compile(r"python:[\d.]+-slim-(\w+)")
VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INSIDE = """
set -e
root=$1 user=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do mount --bind "${1%%:*}" "$root${1#*:}"; shift; done
shift
exec chroot --userspec="$user" "$root" "$@"
"""
"""Mounts PLACE:PLACE..., then the command after `--`; the mounts end with it."""


@dataclass(frozen=True)
class Stage:
    """One stage so far: its root on this machine and what ENV, WORKDIR and USER have set."""

    root: Path
    env: Mapping[str, str] = field(default_factory=lambda: {"PATH": PATH, "HOME": "/root"})
    args: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Host:
    """What this machine lends to every step, as behind a proxy: settings and files for them."""

    root: Path
    env: Mapping[str, str]
    binds: tuple[str, ...]


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return (instruction, value) for each line of a Dockerfile, without its comments."""
    from dockerfile_parse import DockerfileParser

    found = DockerfileParser(path=str(path)).structure
    return [(one["instruction"], one["value"]) for one in found if one["instruction"] != "COMMENT"]


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with $NAME and ${NAME} replaced; a name without a value is empty."""
    return VARIABLE.sub(lambda match: values.get(match[1] or match[2], ""), text)


def stages(lines: Sequence[tuple[str, str]], args: Mapping[str, str]) -> dict[str, Any]:
    """Return by name, in order, each stage's base and its lines; global ARGs are filled in."""
    values: dict[str, str] = {}
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    current: list[tuple[str, str]] | None = None
    for name, value in lines:
        if name == "ARG" and current is None:
            key, _, usual = value.partition("=")
            values[key] = args.get(key, usual)
        elif name == "FROM":
            base, _, alias = expand(value, values).partition(" AS ")
            current = []
            found[alias or str(len(found))] = (base, current)
        elif current is not None:
            current.append((name, value))
    return found


def needed(found: Mapping[str, Any], name: str) -> list[str]:
    """Return the stages that stage `name` is made of, first what others need, and it."""
    base, lines = found[name]
    others = [base, *(match[1] for _, value in lines if (match := _from(value)))]
    order: list[str] = []
    for other in (one for one in others if one in found):
        order += [one for one in needed(found, other) if one not in order]
    return [*order, name]


def _from(value: str) -> re.Match[str] | None:
    return re.match(r"--from=(\S+)", value)


def run(stage: Stage, host: Host, command: Sequence[str], *, options: Sequence[str] = ()) -> None:
    """Run a command in a stage; `options` are those of unshare, binds `PLACE:PLACE` among them."""
    binds = [one for one in options if ":" in one]
    flags = [one for one in options if ":" not in one]
    for bind in (*host.binds, *binds):
        there = stage.root / bind.partition(":")[2].lstrip("/")
        source = Path(bind.partition(":")[0])
        (there if source.is_dir() else there.parent).mkdir(parents=True, exist_ok=True)
        if source.is_file() and not there.exists():
            there.touch()
    env = {**stage.env, **host.env}
    settings = [f"{name}={value}" for name, value in env.items() if value]
    inner = ["env", "-i", *settings, "sh", "-c", f'cd {stage.folder} && exec "$@"', "sh", *command]
    outer = ["unshare", "--mount", *flags, "sh", "-c", INSIDE, "sh", str(stage.root), stage.user]
    subprocess.run([*outer, *host.binds, *binds, "--", *inner], check=True)


def based(host: Host, image: str, done: Mapping[str, Stage], name: str) -> Stage:
    """Return a new stage on an earlier one, or on Debian in place of an official Python image."""
    root = host.root / f"stage-{name}"
    shutil.rmtree(root, ignore_errors=True)
    before = done.get(image)
    suite = SUITE.fullmatch(image)
    if not (before or suite):
        sys.exit(f"{image}: this can be run by docker alone")
    base = before.root if before else debian(host, suite[1] if suite else "")
    subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(root)], check=True)
    return replace(before, root=root) if before else Stage(root)


def debian(host: Host, suite: str) -> Path:
    """Return the root of a Debian with Python where an official image has it; made once."""
    root = host.root / suite
    if not root.exists():
        part = root.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        packages = "--include=ca-certificates,python3,python3-venv,python3-pip"
        subprocess.run(["debootstrap", "--variant=minbase", packages, suite, part], check=True)
        for name in ("python", "python3"):
            (part / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
        part.rename(root)
    for name in ("resolv.conf", "hosts"):
        shutil.copy(Path("/etc", name), root / "etc" / name)
    return root


def step(stage: Stage, host: Host, line: tuple[str, str], done: Mapping[str, Stage]) -> Stage:
    """Return the stage after one instruction."""
    name, value = line
    values = {**stage.args, **stage.env}
    if name == "ENV":
        pairs = (one.partition("=") for one in shlex.split(value))
        return replace(stage, env={**stage.env, **{k: expand(v, values) for k, _, v in pairs}})
    if name == "WORKDIR":
        (stage.root / value.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return replace(stage, folder=value)
    if name in ("USER", "ENTRYPOINT"):
        is_user = name == "USER"
        return replace(stage, user=value) if is_user else _entered(stage, value)
    if name == "RUN":
        run(stage, host, ["sh", "-c", value])
    elif name == "COPY":
        copy(stage, value, done)
    elif name not in ("LABEL", "CMD"):
        sys.exit(f"{name}: not known here")
    return stage


def _entered(stage: Stage, value: str) -> Stage:
    return replace(stage, command=tuple(json.loads(value)))


def copy(stage: Stage, value: str, done: Mapping[str, Stage]) -> None:
    """Copy as COPY does: files into a folder, the content of a folder as a folder."""
    source_root = PROJECT
    if match := _from(value):
        source_root, value = done[match[1]].root, value[match.end() :]
    *sources, target = value.split()
    goal = stage.root / str(Path(stage.folder, target)).lstrip("/")
    for source in sources:
        path = source_root / source.lstrip("/")
        place = goal / path.name if target.endswith("/") else goal
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-aT", str(path), str(place)], check=True)
        if source_root == PROJECT:
            subprocess.run(["chown", "-R", "0:0", str(place)], check=True)


def build(host: Host, args: Mapping[str, str]) -> Stage:
    """Return the last stage, built."""
    found = stages(instructions(PROJECT / "Dockerfile"), args)
    done: dict[str, Stage] = {}
    for name in needed(found, list(found)[-1]):
        base, lines = found[name]
        stage = based(host, base, done, name)
        for line in lines:
            start = time.monotonic()
            stage = step(stage, host, line, done)
            print(f"{time.monotonic() - start:7.1f} s  {line[0]} {line[1]:.80}", flush=True)
        done[name] = stage
    return stage


def distil(image: Stage, host: Host, user: str) -> None:
    """Do `docker run --network none -v FOLDER:/data IMAGE distill /data/data.jsonl`."""
    folder = host.root / f"data-{user.partition(':')[0]}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(PROJECT / "examples/dolly.jsonl", folder / "data.jsonl")
    for path in (folder, folder / "data.jsonl"):
        os.chown(path, *map(int, user.split(":")))
    offline = replace(host, env={}, binds=())
    command = [*image.command, "distill", "/data/data.jsonl", "--budget", "10%", "--quiet"]
    start = time.monotonic()
    run(replace(image, user=user), offline, command, options=("--net", f"{folder}:/data"))
    rows = (folder / "data.distilled/train.jsonl").read_text("utf-8").splitlines()
    made = f"{len(rows)} rows in {folder}/data.distilled"
    print(f"{time.monotonic() - start:7.1f} s  docker run --user {user}: {made}", flush=True)


def pairs(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield NAME=VALUE as pairs; a NAME alone has this process's value."""
    for text in texts:
        name, is_given, value = text.partition("=")
        yield name, value if is_given else os.environ.get(name, "")


def main() -> None:
    """Build the image for the CPU, and run it."""
    about = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    about.add_argument("--root", type=Path, required=True, help="folder to work in, some 10 GB")
    about.add_argument("--env", action="append", default=[], help="NAME or NAME=VALUE for RUN")
    about.add_argument("--bind", action="append", default=[], help="a path of this machine for RUN")
    given = about.parse_args()
    binds = tuple(f"{path}:{path}" for path in given.bind)
    host = Host(given.root.resolve(), dict(pairs(given.env)), binds)
    host.root.mkdir(parents=True, exist_ok=True)
    image = build(host, {"CUDA": "0"})
    size = subprocess.run(["du", "-sm", image.root], capture_output=True, text=True, check=True)
    print(f"{size.stdout.split()[0]} MB in the image", flush=True)
    for user in (image.user, "4242:4242"):
        distil(image, host, user)


if __name__ == "__main__":
    main()
