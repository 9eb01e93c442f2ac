"""The wheel: all of the package is in it, and it runs where nothing else is."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
LOCKS = PROJECT / "locks"
IGNORED = {".pyc"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel with the build backend that is installed: an index is asked for nothing."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
    subprocess.run([*command, PROJECT], check=True, capture_output=True)
    (name,) = (path.name for path in folder.glob("*.whl"))
    return Path(folder, name)


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    own = [path for path in (PROJECT / "minimix").rglob("*") if path.is_file()]
    expected = {str(path.relative_to(PROJECT)) for path in own if path.suffix not in IGNORED}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert "minimix/engines/distiller.lora.gguf" in names
    assert {name.rpartition("/")[2] for name in names} >= {"LICENSE", "NOTICE", "METADATA"}


@pytest.mark.long
def test_the_wheel_in_an_empty_environment_runs_the_demo(wheel, tmp_path):
    """Half an hour where llama.cpp is compiled; some minutes where pip has kept its wheel."""
    venv.create(tmp_path / "venv", with_pip=True)
    program = tmp_path / "venv" / "bin"
    pip = [program / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    locked = ["install", "--require-hashes", "-r"]
    subprocess.run([*pip, *locked, LOCKS / "pip.txt"], check=True)
    built = [f"--build-constraint={LOCKS}/build.txt", f"--constraint={LOCKS}/cuda.txt"]
    subprocess.run([*pip, *locked, LOCKS / "base.txt", *built], check=True)
    subprocess.run([*pip, "install", "--no-deps", wheel], check=True)
    subprocess.run([*pip, "check"], check=True)
    data = PROJECT / "examples" / "dolly.jsonl"
    # Isolated: neither the checkout nor a PYTHONPATH may stand in for what was installed
    run = [program / "python", "-I", "-m", "minimix", "distill", data]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "read      93 records, 93 samples: alpaca (93)" in done.stdout
    for name in ("train.jsonl", "provenance.jsonl", "dropped.jsonl", "report.html", "README.md"):
        assert (tmp_path / "dolly.distilled" / name).exists(), name
