"""llama.cpp's own converters, of the very version that serves the files.

They lie in the source distribution of llama-cpp-python, which pip fetches once; the few files that
are needed stay in the cache. Nothing is cloned or built.
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from minimix.disk import file_sha256, unwritable
from minimix.engines.bundled import cache_folder
from minimix.errors import ModelError
from minimix.extras import need

PACKAGE = "llama-cpp-python"
SDISTS = {"0.3.36": "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"}
"""SHA-256 of the source distribution by version; another version wants its own."""
TREE = "vendor/llama.cpp"
FILES = ("LICENSE", "convert_hf_to_gguf.py", "convert_lora_to_gguf.py")
FOLDERS = ("conversion/", "gguf-py/gguf/")
FETCH_TIMEOUT_S = 900
WHAT = "llama.cpp's converters"


def converters() -> Path:
    """Return the folder with the converters, fetched and unpacked on the first call.

    Raises ModelError where pip cannot fetch them, or what it fetched is not what was pinned.
    """
    version = str(need("llama_cpp").__version__)
    if version not in SDISTS:
        known = ", ".join(SDISTS)
        raise ModelError(f"{PACKAGE} {version}: its converters are not known; install {known}")
    folder = cache_folder() / f"converters-{version}"
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as temporary:
                archive = sdist(version, Path(temporary))
                unpacked = Path(temporary, "unpacked")
                unpack(archive, unpacked)
                _appear(unpacked, folder)
        except OSError as error:
            raise unwritable(folder, error) from error
    return folder


def unpack(archive: Path, target: Path) -> None:
    """Unpack the files that convert, and llama.cpp's licence, out of a source distribution.

    Raises ModelError where it lacks them, or is no archive.
    """
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                _, found, name = member.name.partition(f"/{TREE}/")
                if not found or not member.isfile() or not _is_needed(name):
                    continue
                content = tar.extractfile(member)
                if content:
                    path = target / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content.read())
    except (tarfile.TarError, EOFError) as error:
        raise ModelError(f"{archive}: not the source of {PACKAGE} ({error})") from error
    missing = [name for name in FILES if not (target / name).is_file()]
    if missing:
        raise ModelError(f"{archive}: expected {TREE}/{missing[0]}, found none")


def _is_needed(name: str) -> bool:
    path = PurePosixPath(name)
    inside = path.suffix == ".py" and name.startswith(FOLDERS)
    return ".." not in path.parts and (name in FILES or inside)


def sdist(version: str, folder: Path) -> Path:
    """Return the source distribution: one that was put into the cache, or what pip fetches."""
    name = f"{PACKAGE.replace('-', '_')}-{version}.tar.gz"
    given = cache_folder() / name
    path = given if given.exists() else folder / name
    if not given.exists():
        _fetch(version, folder)
    if not path.exists() or file_sha256(path) != SDISTS[version]:
        raise ModelError(f"{path}: not the source distribution of {PACKAGE} {version} (SHA-256)")
    return path


def _fetch(version: str, folder: Path) -> None:
    """Have pip put the source distribution into a folder."""
    wanted = ["download", "--no-deps", "--no-binary", PACKAGE, f"{PACKAGE}=={version}"]
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *wanted]
    remedy = f"where there is a network: pip {' '.join(wanted)} -d {cache_folder()}"
    try:
        done = subprocess.run(
            [*command, "-d", str(folder)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=FETCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"llama.cpp's converters: not fetched in {FETCH_TIMEOUT_S} s; {remedy}"
        ) from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        raise ModelError(
            f"llama.cpp's converters: pip cannot fetch them ({said[-1][:200]}); {remedy}"
        )


def _appear(unpacked: Path, folder: Path) -> None:
    """Give an unpacked folder its name; one that another process has made first is as good."""
    try:
        unpacked.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
