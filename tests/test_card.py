"""The dataset card: the hub's own library reads it, and it says no more than is known."""

import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets.utils.resources import __path__ as resources
from huggingface_hub import DatasetCard, DatasetCardData

from minimix.card import About, card, command
from minimix.cli import cli
from minimix.cli.options import settings
from minimix.config import DistillConfig
from minimix.front import LICENSES, front_matter, licenses
from minimix.pool import Pool
from minimix.records import Entry
from tests.fakes import sample

POOL = Pool(samples=(), dropped=(), records=3, shapes={"alpaca": 3}, name="a/b/data.jsonl")
ENTRIES = [
    Entry(sample("p", "one two three"), "original", 4.0, 0.5),
    Entry(sample("p", "one"), "fusion", 3.0, 0.5),
]


def about(**changes: Any) -> About:
    counts = Counter(samples=3, final=2, originals=1, fusions=1, records=3)
    names = (
        "high low clusters tried candidates accepted kept fused dropped high_fusions "
        "dropped_copy dropped_near_copy questions"
    )
    given = About(
        folder="data.distilled",
        train="train.jsonl",
        pool=POOL,
        config=DistillConfig(),
        model="a model",
        rater="a rater",
        counts={**dict.fromkeys(names.split(), 0), **counts},
        entries=ENTRIES,
        notes=["rows: too few"],
    )
    return replace(given, **changes)


def metadata(text: str) -> DatasetCardData:
    data = DatasetCard(text).data
    assert isinstance(data, DatasetCardData)
    return data


def front(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card(about(**changes)).split("---\n")[1])
    return found


def test_the_hubs_library_reads_the_card_and_finds_its_own_fields():
    text = card(about(config=DistillConfig(license=("mit",), language=("en", "de"))))
    data = DatasetCard(text).data
    assert isinstance(data, DatasetCardData)
    assert (data.license, data.language, data.pretty_name) == (
        "mit",
        ["en", "de"],
        "data, distilled",
    )
    assert data.task_categories == ["text-generation"]
    assert data.size_categories == ["n<1K"]
    assert data.to_dict() == yaml.safe_load(text.split("---\n")[1])  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("rows", [0, 999, 1_000, 99_999, 5_000_000, 20_000_000])
def test_sizes_are_those_of_the_hub(rows):
    made = front_matter("n", rows, license_ids={}, language=(), synthetic=True, data_file="t")
    (size,) = made["size_categories"]
    known = yaml.safe_load((Path(resources[0]) / "size_categories.json").read_text())
    assert size in known
    low, _, high = size.replace("n<1K", "0<n<1K").partition("<n<")
    bounds = [int(n.replace("K", "000").replace("M", "000000")) for n in (low, high)]
    assert bounds[0] <= rows < bounds[1]


@pytest.mark.parametrize(
    ("told", "found", "expected"),
    [
        ((), {}, {"license": "unknown"}),
        ((), {"": 5}, {"license": "unknown"}),
        ((), {"CC BY-SA 3.0": 5}, {"license": "cc-by-sa-3.0"}),
        ((), {"MIT": 1, "Apache-2.0": 2, "mit": 3}, {"license": ["apache-2.0", "mit"]}),
        ((), {"MIT": 1, "": 2}, {"license": ["mit", "unknown"]}),
        ((), {"Our Terms, v2": 1}, {"license": "other", "license_name": "our-terms-v2"}),
        (("cc-by-4.0",), {"MIT": 1}, {"license": "cc-by-4.0"}),
    ],
)
def test_the_licence_is_the_one_told_or_the_union_of_those_in_the_data(told, found, expected):
    made = front(config=DistillConfig(license=told), pool=replace(POOL, licenses=found))
    assert {key: value for key, value in made.items() if key.startswith("license")} == expected
    ids = made["license"] if isinstance(made["license"], list) else [made["license"]]
    assert set(ids) <= LICENSES


def test_a_card_says_where_its_licence_comes_from():
    assert "The licence is that of the source data, which say none." in card(about())
    found = card(about(pool=replace(POOL, licenses={"MIT": 1, "": 1})))
    assert "Licence, as the source rows say: `mit`, `unknown`." in found
    told = card(about(config=DistillConfig(license=("Our `Terms`",))))
    assert "Licence, as whoever made the set says: `Our 'Terms'`." in told
    assert licenses((), {"b": 1, "A": 1}) == {"A": "", "b": ""}


def test_a_language_is_not_guessed():
    assert "language" not in front()


def test_rows_are_counted_by_origin():
    text = card(about())
    assert "| originals, rated 4 or higher | 1 | 4.00 | 3 |" in text
    assert "| all | 2 | 3.50 | 2 |" in text
    assert "standing in" not in text.partition("## What")[0]


def test_only_a_set_with_fusions_is_called_synthetic():
    assert "synthetic" in front()["tags"]
    assert "synthetic" not in front(counts={**about().counts, "fusions": 0})["tags"]


def test_a_hostile_name_stays_a_name():
    folder = 'a "b"\n---\nlicense: mit\n---\n{0}.distilled'
    text = card(about(folder=folder))
    assert metadata(text).pretty_name == 'a "b" --- license: mit --- {0}, distilled'
    assert 'load_dataset("a \\"b\\" --- license: mit --- {0}.distilled", split="train")' in text


def test_the_paper_is_cited():
    text = card(about())
    assert "arXiv preprint arXiv:2510.20449" in text
    assert text.count("```") % 2 == 0


def test_the_command_makes_the_same_settings_again():
    config = DistillConfig().with_settings(
        {
            "budget": "10%",
            "exhaustive": True,
            "rating_range": (1, 10),
            "check_against": ["a.jsonl", "b c.jsonl"],
            "license": "mit",
            "temperature": 0.5,
            "exact": True,
            "source_field": "none",
        }
    )
    words = shlex.split(command("x y/data.jsonl", config))
    assert words[:3] == ["minimix", "distill", "data.jsonl"]
    distill = cli.get_command(None, "distill")  # type: ignore[arg-type]
    assert distill is not None
    given = distill.make_context("distill", words[2:]).params
    own = {name: value for name, value in given.items() if name in config.flat()}
    assert settings(own) == config


def test_the_command_holds_no_folder_and_no_address():
    config = DistillConfig().with_settings(
        {"model": "/home/me/my.gguf", "base_url": "http://me:secret@host/v1", "rater": "r/my.npz"}
    )
    text = command("/home/me/data.jsonl", config)
    assert text == ("minimix distill data.jsonl --rater my.npz --model my.gguf --base-url URL")
    assert command("owner/name:train", DistillConfig()) == "minimix distill owner/name:train"
    assert command("samples", DistillConfig()) == "minimix distill samples.jsonl"
