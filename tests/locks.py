"""Make locks/ again: every package an install may bring, its version and what its files hash to.

    make lock                       # as pyproject.toml asks, versions kept where they still do
    make lock MORE='--upgrade-package httpx'

uv resolves for every system and Python that minimix is for. Two things are done after it: what only
PyTorch's CUDA build asks for has a file of its own, so that a machine with the CPU build does not
install gigabytes of it; and the CPU build, which PyTorch's own index alone has, is let in.
"""

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).parent.parent
LOCKS = PROJECT / "locks"
ENTRY = re.compile(r"^([a-z0-9.-]+)==(\S+).*(?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)*\n", re.M)
CUDA = re.compile(r"nvidia-.*|cuda-.*|triton")
CPU_TORCH = {
    "2.13.0": {
        "cp311 aarch64": "84453b69508ec79902f899c5ed9495acb9e2bbe9fda5f1d5d6f19e3c3842e1a7",
        "cp311 x86_64": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
        "cp312 aarch64": "6f307c2c32d764ffc6ff6893b801fad6d4752f3e67966cb8abf1843427c02604",
        "cp312 x86_64": "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",
        "cp313 aarch64": "0b8f7d0423027ae8b90c7977c627f3379f325363a08224dffad9b4b2d684a83d",
        "cp313 x86_64": "3fbf9c9d1f3c10c2d59d04aca426dee9ccc6ceb32d255c61e93acc3b4f75fae6",
        "cp314 aarch64": "ca021f9eb2f8345c83fa03e3a04587308afb8df71bd472670b3ece00df58621c",
        "cp314 x86_64": "d20fa53ee744502fa4c69818a720b05ca0d37abd055d4f6e66cae155114bc691",
    }
}
"""The Linux wheels of PyTorch's CPU build, as its index lists them: a new version has new ones."""
DEV_PYTHON = "3.11.5"  # what pymdown-extensions, for the docs, asks for
KEPT = {
    "dev": ("dev", "cuda"),
    "base": ("dev", "cuda"),
    "trainers": ("trainers",),
    "build": ("build", "dev"),
    "pip": ("pip",),
    "tools": ("tools",),
}
"""The files whose versions a part keeps. The base has none of its own: it is that of the tests."""
PARTS: Mapping[str, Sequence[str]] = {
    "dev": ("--extra=dev", f"--python-version={DEV_PYTHON}"),
    "base": ("--python-version=3.11",),
    "trainers": ("--group=trainers", "--no-deps", f"--python-version={DEV_PYTHON}"),
    "build": ("--group=build", "--python-version=3.11"),
    "pip": ("--group=pip", "--python-version=3.11"),
    "tools": ("--group=tools", "--python-version=3.11"),
}
HEADER = "# Made by `make lock`: docs/dependencies.md.\n"


def entries(text: str) -> dict[str, str]:
    """Return by package name its lines: version, marker and hashes; for some, one each Python."""
    found: dict[str, str] = {}
    for match in ENTRY.finditer(text):
        found[match[1]] = found.get(match[1], "") + match[0]
    return found


def version(entry: str) -> str:
    """Return the version that an entry pins."""
    match = ENTRY.match(entry)
    return match[2] if match else ""


def resolve(name: str, options: Sequence[str]) -> dict[str, str]:
    """Return the entries of a part as uv resolves them; versions stay where they can."""
    path = LOCKS / f"{name}.txt"
    kept = (LOCKS / f"{one}.txt" for one in KEPT[name])
    # uv keeps the versions of the file that it writes
    path.write_text("".join(one.read_text("utf-8") for one in kept if one.exists()), "utf-8")
    own = [] if options[0].startswith("--group") else ["pyproject.toml"]
    command = ["uv", "pip", "compile", *own, "--universal", "--generate-hashes", "--quiet"]
    shape = ["--no-header", "--no-annotate", f"--output-file={path.relative_to(PROJECT)}"]
    uv = Path(sys.executable).parent / command[0]
    subprocess.run([uv, *command[1:], *shape, *options], cwd=PROJECT, check=True)
    return entries(path.read_text("utf-8"))


def write(name: str, found: Mapping[str, str]) -> None:
    """Write a part, by name."""
    text = HEADER + "".join(found[package] for package in sorted(found))
    (LOCKS / f"{name}.txt").write_text(text, "utf-8")


def with_cpu_build(torch: str) -> str:
    """Return the entry of torch with the hashes of its CPU build, once: uv may have kept them."""
    first, *rest = torch.removesuffix("\n").split(" \\\n")
    return " \\\n".join([first, *sorted({*rest, *map(line, cpu(torch))})]) + "\n"


def line(digest: str) -> str:
    """Return a hash as requirement files have it."""
    return f"    --hash=sha256:{digest}"


def cpu(torch: str) -> list[str]:
    """Return the hashes of the CPU build of the version that an entry of torch pins."""
    if version(torch) not in CPU_TORCH:
        sys.exit(f"torch {version(torch)}: put its CPU build's hashes into CPU_TORCH")
    return sorted(CPU_TORCH[version(torch)].values())


def main() -> None:
    """Write every file of locks/."""
    LOCKS.mkdir(exist_ok=True)
    for name, options in PARTS.items():
        found = resolve(name, [*options, *sys.argv[1:]])
        for_cuda = {
            package: found.pop(package) for package in set(found) if CUDA.fullmatch(package)
        }
        if "torch" in found:
            write("cuda", for_cuda)
            # uv takes the CPU build by its full version only (Dockerfile)
            pin = f"torch=={version(found['torch'])}+cpu"
            pins = " \\\n".join([pin, *map(line, cpu(found["torch"]))])
            write("torch-cpu", {"torch": f"{pins}\n"})
            found["torch"] = with_cpu_build(found["torch"])
        write(name, found)
        print(f"{len(found):4} packages in locks/{name}.txt", flush=True)


if __name__ == "__main__":
    main()
