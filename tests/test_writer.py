"""An LLM as the writer of tasks: what it gets wrong is counted, and what it wrote is kept."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from minimix.config import EngineConfig
from minimix.engines import places
from minimix.errors import ConfigError, DataError, FormatError, ModelError
from minimix.mixture.tasks import Example, read_examples, target
from minimix.mixture.text.articles import read_any, read_titled
from minimix.mixture.text.wording import words
from minimix.mixture.writer.folder import WriteConfig, open_writer, write_folder, write_tasks_about
from minimix.mixture.writer.memory import COHORT, Memory
from minimix.mixture.writer.prompts import WAYS, to_degrade, to_merge, to_write
from minimix.mixture.writer.samples import Writer, good_samples, merged_samples, worse_versions
from minimix.mixture.writer.segments import Segment, segments
from minimix.mixture.writer.tally import GOOD, Tally, outcomes, worst
from minimix.parse import parse
from minimix.rating import llm
from minimix.records import KINDS, Answer, Engine, Kind, Messages, Place, Sample
from tests.fakes import embed
from tests.test_failures import Say, minimix, says, serving

ARTICLES = {
    "Skarn Light": (
        "Skarn Light was built in 1854 by the engineer Mary Oswald. Its tower has 212 steps and a "
        "lamp of brass. The keeper John Tarrel kept a diary there from 1855 until his death, "
        "because nobody else would. Visitors have climbed it since 1932, when Anna Brock opened a "
        "museum in the old store. Some 14,000 people come every summer to see the lamp. The town "
        "of Dunmoor pays for the roof, while a club of friends pays for paint and boats."
    ),
    "Yeast bread": (
        "Yeast bread rises because yeast turns sugar into gas. Bakers in Egypt knew the trick some "
        "5,000 years ago, though none of them saw the tiny fungus. Louis Pasteur described it in "
        "1857. A dough of wheat holds the bubbles well, since its gluten stretches like rubber. "
        "Rye has little gluten, so a rye loaf stays flat unless sour dough helps. Factories sell "
        "dried yeast in packets of 7 grams, and one packet lifts half a kilo of flour."
    ),
    "Red kites": (
        "Red kites are birds of prey with forked tails and wings of 180 centimetres. They feed on "
        "worms, mice and dead sheep. By 1903 only twelve birds were left in Wales, where farmers "
        "had shot them for a bounty. Chicks from Spain were set free near Oxford between 1989 and "
        "1994. Their number has grown to 4,600 pairs since then, which surprised most experts. "
        "People in Reading feed them with scraps, although keepers warn against cooked meat."
    ),
    "Tin cans": (
        "Tin cans were patented in London by Peter Durand in 1810. Sailors ate from them long "
        "before shops sold any, as each can took an hour to solder by hand. No opener existed "
        "until 1858, so cooks used a hammer and chisel. Steel replaced iron around 1870, and the "
        "layer of tin shrank to a thousandth of a millimetre. Aluminium came in 1959 with beer "
        "from Colorado. Recycling one saves enough power to run a lamp for three hours."
    ),
    "Salt roads": (
        "Salt roads led from the marshes to towns that had no other way to keep meat. One of them "
        "ran 180 kilometres from Luneburg to the port of Lubeck. A cart with four horses needed "
        "19 days for it, because the sand was deep. Merchants built a canal in 1398 so that barges "
        "could take 30 tons each. Toll houses stood at every bridge, and their keepers grew rich. "
        "The trade ended when cheap rock salt from mines came by train after 1850."
    ),
}
TOPICS = tuple(ARTICLES)


def article(number: int) -> dict[str, str]:
    return {"title": TOPICS[number], "text": ARTICLES[TOPICS[number]]}


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    path = tmp_path / "articles.jsonl"
    path.write_text("".join(json.dumps(article(n)) + "\n" for n in range(len(TOPICS))))
    return path


# a writer that is a function


def sentences(text: str) -> list[str]:
    return [f"{one.strip(' .')}." for one in text.split(". ")]


def wrote(kind: Kind, text: str) -> str:
    """Answer in the form of a kind with what a text says."""
    first, *rest = sentences(text)
    said = " ".join(rest)
    bodies: dict[Kind, str] = {
        "qa": f"Q: What is known of this: {first}\nA: {first} {said}",
        "mcq": f"Q: What is said?\nA) {first}\nB) None\nC) Two\nD) Six\nAnswer: A) {first}\n{said}",
        "tfq": f"{first}\nAnswer: True. {said}",
        "cs": f"C: Sights\nS: {first} {said}",
        "para": f"{first} {said}",
    }
    return f"<answer>{bodies[kind]}</answer>"


def kind_asked(ask: str) -> Kind:
    marks: dict[Kind, str] = {
        "mcq": "multiple-choice", "qa": "one question", "tfq": "true-or-false", "cs": "C: ...",
        "para": "one paragraph",
    }  # fmt: skip
    return next(kind for kind, mark in marks.items() if mark in ask)


def worse(sample: str, ask: str) -> str:
    """Answer with a worse version, as the way that was asked for has it."""
    way = next(way for way, text in WAYS.items() if text in ask)
    if way == "redundant":
        return f"<answer>{sample} It is what it is.</answer>"
    kept, _, last = sample.rpartition(". ")
    shorter = f"{kept}." if way in {"vague", "incomplete"} else f"{sample[: -len(last)]}So {way}."
    return f"<answer>{shorter}</answer>"


def marks(overall: int) -> str:
    return json.dumps(dict.fromkeys(llm.NAMES, overall))


def as_writer(asked: str) -> str:
    """Answer as an LLM might that gets everything right, and rates itself 9."""
    if asked.startswith(llm.ASK):
        return marks(9)
    ask, _, data = asked.rpartition("\n\n")
    material = json.loads(data)
    if "text" in material:
        return wrote(kind_asked(ask), material["text"])
    if "sample" in material:
        return worse(material["sample"], ask)
    return merged(material["first"], material["second"])


def merged(first: str, second: str) -> str:
    if not first.startswith("Q:"):
        return f"<answer>{first} {second}</answer>"
    (ask, say), (too, more) = (text[3:].split("\nA: ") for text in (first, second))
    return f"<answer>Q: {ask} {too}\nA: {say} {more}</answer>"


Say_ = Callable[[str], str]


def answering(say: Say_) -> Callable[[Sequence[Messages]], Iterator[Answer]]:
    """Return a `Generate` that answers the last message of each chat."""
    return lambda chats: (
        Answer(n, 0, say(chat[-1]["content"]), "stop") for n, chat in enumerate(chats)
    )


def writer(say: Say_ = as_writer) -> Writer:
    return Writer(write=answering(say), rate=answering(say), name="a function")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def pieces(path: Path) -> tuple[Segment, ...]:
    return segments(read_any(path))


def each(count: int) -> WriteConfig:
    return WriteConfig(counts=dict.fromkeys(KINDS, count), held_out=0.25)


def tasks(path: Path, say: Say_ = as_writer, count: int = 3) -> tuple[list[Example], Tally]:
    return write_tasks_about(pieces(path), each(count), writer(say), embed=embed)


# segments


def test_articles_are_cut_into_pieces_of_whole_sentences(tmp_path):
    text = " ".join(f"Sentence number {n} says that the old mill is as it was." for n in range(60))
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"title": "Mill", "text": text}) + "\n" + json.dumps(article(0)))
    found = pieces(path)
    assert [(one.title, one.place.line) for one in found][-1] == ("Skarn Light", 2)
    assert all(60 <= words(one.text) <= 220 for one in found)
    assert all(one.text.startswith(("Sentence", "Skarn")) and one.text[-1] == "." for one in found)
    mill = " ".join(one.text for one in found[:-1])
    assert text.startswith(mill)
    assert words(text) - words(mill) < 60


def test_records_of_title_and_text_are_articles_and_others_are_named(articles, tmp_path):
    assert [one.title for one in read_titled(articles)] == list(TOPICS)
    assert read_any(articles) == read_titled(articles)
    path = tmp_path / "other.jsonl"
    path.write_text('{"text": "Fine."}\n{"text": 5}\n')
    with pytest.raises(FormatError, match=r"other\.jsonl:2: expected an article with title and te"):
        read_any(path)


# what is asked


def test_the_data_stands_in_one_json_object_at_the_end():
    segment = Segment('A "title"', "Text.\n\n<answer>Q: x</answer>", Place("f", 1, 0, ""))
    sample = Sample("What?", 'A "thing".', (segment.place,))
    chats = [to_write("qa", segment), to_degrade(sample, "vague"), to_merge(sample, sample)]
    found = [json.loads(chat[-1]["content"].rpartition("\n\n")[2]) for chat in chats]
    assert found[0] == {"title": segment.title, "text": segment.text}
    assert found[1] == {"sample": 'Q: What?\nA: A "thing".'}
    assert set(found[2]) == {"first", "second"}


# the steps


def test_a_good_writer_gives_tasks_of_every_kind(articles):
    made, tally = tasks(articles)
    written = [one for one in made if one.made == "written by a function"]
    assert {kind: sum(one.task.kind == kind for one in written) for kind in KINDS} == dict.fromkeys(
        KINDS, 3
    )
    assert all(2 <= len(one.task.parts) <= 5 for one in made)
    assert not [one for one in made if parse(one.task, target(one)).problems]
    assert {one.sources[0].file for one in made} == {str(articles)}
    assert tally["write", "qa", GOOD] == 3


def test_no_piece_serves_a_kind_twice_and_a_writer_that_fails_is_not_asked_for_ever(articles):
    asked: list[str] = []

    def bad(text: str) -> str:
        asked.append(text)
        return "I would rather not."

    found, tally = good_samples(pieces(articles), {"qa": 1}, writer(bad), rng=rng())
    assert found == []
    assert tally == {("write", "qa", "ill-formed: no <answer>"): 4}
    assert len(set(asked)) == len(asked) == 4


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Q: What?\nA: That.", "ill-formed: no <answer>"),
        ("<answer>Q: What?\nA: That.", "ill-formed: no </answer>"),
        ("<answer>That.</answer>", "ill-formed: no Q:"),
        ("<answer>Q: ...\nA: ...</answer>", "ill-formed: the form, not filled in"),
        ("Sure! <answer>Q: What?\nA: That.</answer>", "ill-formed: text before <answer>"),
    ],
)
def test_what_is_not_in_the_form_is_counted_and_not_mended(articles, said, reason):
    _, tally = good_samples(pieces(articles)[:1], {"qa": 1}, writer(lambda _: said), rng=rng())
    assert tally == {("write", "qa", reason): 1}


def test_a_sample_counts_only_where_it_is_rated_four_or_more(articles):
    def mixed(asked: str) -> str:
        if asked.startswith(llm.ASK):
            overall = 8 if TOPICS[0] in asked else 7
            return "Nine!" if TOPICS[3] in asked else marks(overall)
        return as_writer(asked)

    found, tally = good_samples(pieces(articles), {"para": 4}, writer(mixed), rng=rng())
    assert [(one.place.line, one.rating) for one in found] == [(1, 4.0)]
    assert tally == {
        ("write", "para", GOOD): 1,
        ("write", "para", "rated below 4"): 3,
        ("write", "para", "not rated"): 1,
    }


def test_worse_versions_differ_and_the_first_is_asked_to_lose_nothing(articles):
    asked: list[str] = []

    def noted(text: str) -> str:
        asked.append(text)
        return as_writer(text)

    good, _ = good_samples(pieces(articles), {"cs": 4}, writer(), rng=rng())
    versions, tally = worse_versions(good, writer(noted), rng=rng())
    assert [2 <= len(set(own)) == len(own) <= 5 for own in versions] == [True] * 4
    assert WAYS["redundant"] in asked[0]
    assert sum(WAYS["redundant"] in text for text in asked) == 4
    assert tally["degrade", "cs", GOOD] == sum(map(len, versions)) == len(asked)


def test_a_version_that_says_the_same_is_none(articles):
    def same(asked: str) -> str:
        data = json.loads(asked.rpartition("\n\n")[2])
        return f"<answer>{data['sample'].upper()}</answer>"

    good, _ = good_samples(pieces(articles), {"para": 1}, writer(), rng=rng())
    versions, tally = worse_versions(good, writer(same), rng=rng())
    assert versions == [()]
    assert list(tally) == [("degrade", "para", "says the same again")]


def test_a_target_that_says_what_no_version_says_is_left_out(articles):
    def forgetful(asked: str) -> str:
        if '{"sample": ' in asked:
            way = next(way for way, text in WAYS.items() if text in asked)
            return f"<answer>Something was built somewhere, {way}.</answer>"
        return as_writer(asked)

    made, tally = write_tasks_about(
        pieces(articles), WriteConfig(counts={"para": 3}), writer(forgetful), embed=embed
    )
    assert made == []
    assert tally["task", "para", "says what no worse version says"] == 3


def test_near_samples_of_different_articles_become_one(articles):
    good, _ = good_samples(pieces(articles), {"qa": 5}, writer(), rng=rng())
    found, tally = merged_samples(good, writer(), embed=embed)
    ((one, other, whole),) = found  # a fifth of five
    assert good[one].place.line != good[other].place.line
    assert whole.sources == (*good[one].sources, *good[other].sources)
    assert all(good[n].instruction in whole.instruction for n in (one, other))
    assert tally == {("merge", "qa", GOOD): 1}


def test_samples_that_are_not_near_are_not_merged(articles):
    good, _ = good_samples(pieces(articles), {"qa": 5}, writer(), rng=rng())
    apart = np.eye(5, dtype=np.float32)
    assert merged_samples(good, writer(), embed=lambda _: apart) == ([], {})


def test_a_merged_task_has_parts_of_both(articles):
    made, _ = tasks(articles, count=5)
    (one,) = [one for one in made if one.made == "merged by a function" and one.task.kind == "qa"]
    assert len(one.sources) == 2
    assert 2 <= len(one.task.parts) <= 4


def test_the_same_answers_make_the_same_tasks(articles):
    assert tasks(articles) == tasks(articles)


def test_outcomes_show_the_share_and_every_reason():
    tally = Tally({("write", "qa", GOOD): 3, ("write", "qa", "not rated"): 1})
    said = outcomes(tally)
    assert "| write | qa   |       4 |    3 |   75% |" in said
    assert "| write | qa   | not rated        |     1 |" in said
    assert worst(tally) == "write qa, not rated: 1"


# a server as the writer


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(places, "WAIT_S", 0.001)


def served(say: Say_ = as_writer) -> Callable[[str], Say]:
    return lambda asked: says(say(asked))


def build(url: str, articles: Path, output: Path, count: int = 3) -> str:
    config = EngineConfig(base_url=(url,), parallel=2)
    return write_folder([articles], output, each(count), engine=config, embed=embed)


def test_a_server_writes_a_folder_of_tasks(articles, tmp_path):
    with serving(served()) as fake:
        said = build(fake.url, articles, tmp_path / "out")
    train, held = (read_examples(tmp_path / "out" / f"{n}.jsonl") for n in ("train", "held_out"))
    assert train
    assert held
    assert {one.made for one in train} == {"written by fake"}
    lines = [{place.line for one in part for place in one.sources} for part in (train, held)]
    assert not lines[0] & lines[1]
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "| write   | qa " in said
    assert said.removesuffix(f"\n\nwritten {tmp_path / 'out'}") in readme
    assert fake.url not in readme
    assert {body["temperature"] for body in fake.bodies} == {0.0}
    forms = [body.get("response_format") for body in fake.bodies]
    rated = [body["messages"][-1]["content"].startswith(llm.ASK) for body in fake.bodies]
    assert [form is not None for form in forms] == rated


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("train.jsonl", "held_out.jsonl")}


def test_a_second_start_asks_nothing_and_writes_the_same(articles, tmp_path):
    with serving(served()) as fake:
        build(fake.url, articles, tmp_path / "out")
        before, asked = files(tmp_path / "out"), len(fake.bodies)
        build(fake.url, articles, tmp_path / "out")
        assert len(fake.bodies) == asked
    assert files(tmp_path / "out") == before


def cut(path: Path, lines: int) -> None:
    """Leave a file as a crash might: so many lines, and half of the next."""
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:lines]) + whole[lines][: len(whole[lines]) // 2])


def test_a_run_that_was_cut_short_asks_again_only_what_is_lost(articles, tmp_path):
    with serving(served()) as fake:
        build(fake.url, articles, tmp_path / "out")
        before, asked = files(tmp_path / "out"), len(fake.bodies)
        cut(tmp_path / "out" / "answers.jsonl", asked - 5)
        build(fake.url, articles, tmp_path / "out")
        assert len(fake.bodies) == asked + 5
        build(fake.url, articles, tmp_path / "out")
        assert len(fake.bodies) == asked + 5
    assert files(tmp_path / "out") == before


def test_what_was_written_is_kept_when_the_server_dies(articles, tmp_path):
    def dying(asked: str) -> Say:
        return Say(500) if '{"sample": ' in asked else says(as_writer(asked))

    with serving(dying) as fake, pytest.raises(ModelError, match=r"no answer to \d+ requests"):
        build(fake.url, articles, tmp_path / "out")
    kept = len((tmp_path / "out" / "answers.jsonl").read_text().splitlines())
    assert kept == 2 * 3 * len(KINDS)
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_a_writer_that_gets_nothing_right_is_an_error_that_says_how(articles, tmp_path):
    said = r"fake got no task right: write qa, ill-formed: no <answer>: 4; "
    with serving(served(lambda _: "Hello!")) as fake, pytest.raises(DataError, match=said):
        build(fake.url, articles, tmp_path / "out", count=1)


def test_articles_without_prose_are_an_error(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("A short line.\n")
    with pytest.raises(DataError, match="no 60 words of clean prose"):
        build("http://127.0.0.1:1/v1", path, tmp_path / "out")


@pytest.mark.slow
def test_the_command_line_has_a_server_write(articles, tmp_path):
    with serving(served()) as fake:
        given = ["--articles", articles, "--base-url", fake.url, "--per-kind", "qa=3,cs=2"]
        done = minimix(tmp_path, "mixture", "build", *given, "--held-out", "0.3", "--output", "out")
    assert done.returncode == 0, done.stderr
    assert "| write   | cs   |       2 |    2 |  100% |" in done.stdout
    assert {one.task.kind for one in read_examples(tmp_path / "out" / "train.jsonl")} == {
        "qa",
        "cs",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], "expected SOURCES, or --articles"),
        (["rows.jsonl", "--base-url", "http://h/v1"], "a model writes about --articles alone"),
        (["rows.jsonl", "--model", "bundled"], "a model writes about --articles alone"),
    ],
)
def test_a_build_of_nothing_or_of_both_is_refused(tmp_path, given, expected):
    done = minimix(tmp_path, "mixture", "build", *given, "--output", "out")
    assert done.returncode == 2
    assert expected in done.stderr


# what is remembered


def local(say: Say_, calls: list[int]) -> Engine:
    """Return an engine that counts the chats of each call, as one that runs here."""

    def generate(chats: Sequence[Messages]) -> Iterator[Answer]:
        calls.append(len(chats))
        return reversed(list(answering(say)(chats)))

    return Engine(generate, name="local", sha256="f" * 64)


def chats(count: int) -> list[Messages]:
    return [[{"role": "user", "content": f"chat {n}"}] for n in range(count)]


def test_answers_come_in_order_and_are_asked_for_in_fixed_cohorts(tmp_path):
    calls: list[int] = []
    memory = Memory(local(str.upper, calls), tmp_path / "a", asked="")
    found = list(memory.generate(chats(COHORT + 3)))
    assert [(one.task, one.text) for one in found[-2:]] == [
        (COHORT + 1, f"CHAT {COHORT + 1}"),
        (COHORT + 2, f"CHAT {COHORT + 2}"),
    ]
    assert calls == [COHORT, 3]


def test_a_cohort_that_was_cut_short_is_done_again_whole(tmp_path):
    calls: list[int] = []
    engine = local(str.upper, calls)
    first = list(Memory(engine, tmp_path / "a", asked="").generate(chats(COHORT + 3)))
    cut(tmp_path / "a", COHORT + 1)
    again = Memory(engine, tmp_path / "a", asked="")
    assert list(again.generate(chats(COHORT + 3))) == first
    assert calls == [COHORT, 3, 3]


def test_another_limit_or_model_is_another_question(tmp_path):
    calls: list[int] = []
    for asked in ("96 tokens", "384 tokens", "96 tokens"):
        memory = Memory(local(str.upper, calls), tmp_path / "a", asked=asked)
        assert len(list(memory.generate(chats(2)))) == 2
    assert calls == [2, 2]


def test_an_engine_that_writes_no_json_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no JSON"):
        open_writer(EngineConfig(model="extract"), tmp_path / "a", seed=0)


# the bundled model


@pytest.mark.slow
def test_the_bundled_model_is_no_writer_and_the_counts_say_so(articles, tmp_path):
    config = EngineConfig(threads=1, max_new_tokens=128)
    made = open_writer(config, tmp_path / "answers.jsonl", seed=0)
    _, tally = good_samples(pieces(articles), {"qa": 1, "para": 1}, made, rng=rng())
    assert sum(tally.values()) <= 8
    assert tally.total() > tally["write", "qa", GOOD] + tally["write", "para", GOOD]
