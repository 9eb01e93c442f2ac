"""Row shapes: every record becomes samples or drops with a reason, and goes back whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minimix.disk import atomic, write_jsonl
from minimix.errors import FormatError, OutputError
from minimix.formats import SHAPES, Parsed, read_row, write_row
from minimix.records import Place, Sample

HERE = Place("f.jsonl", 1, 0, "0" * 64)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
Q, A = "Name the largest planet.", "Jupiter."


def user(text: object = Q) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: object = A) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def chat(*turns: object) -> Parsed:
    return read_row({"messages": list(turns)}, HERE)


def reasons(parsed: Parsed) -> list[tuple[int, str]]:
    return [(drop.place.part, drop.reason) for drop in parsed.dropped]


ROWS: list[tuple[str, dict[str, Any]]] = [
    ("alpaca", {"instruction": Q, "input": "", "output": A}),
    ("alpaca", {"instruction": Q, "input": None, "output": A, "id": 7}),
    ("alpaca-no-input", {"instruction": Q, "output": A}),
    ("dolly", {"instruction": Q, "context": "", "response": A, "category": "open_qa"}),
    ("instruction-input-response", {"instruction": Q, "input": "", "response": A}),
    ("instruction-response", {"instruction": Q, "response": A}),
    ("mixture", {"instruction": Q, "input": "", "output": A, "cot": "So."}),
    ("mixture", {"instruction": Q, "input": "", "output": A, "source": "qa_mixup"}),
    ("messages", {"messages": [user(), assistant()]}),
    ("conversations", {"conversations": [user(), assistant()]}),
    (
        "sharegpt",
        {"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]},
    ),
    ("prompt-completion", {"prompt": Q, "completion": A}),
    ("prompt-response", {"prompt": Q, "response": A}),
    ("question-answer", {"question": Q, "answer": A}),
]


@pytest.mark.parametrize(("shape", "row"), ROWS)
def test_each_shape_is_told_by_its_fields(shape, row):
    parsed = read_row(row, HERE)
    assert (parsed.shape, parsed.samples, parsed.dropped) == (shape, (Sample(Q, A, (HERE,)),), ())


def test_the_rows_above_show_every_shape():
    assert {shape for shape, _ in ROWS} == set(SHAPES)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=40)
@given(instruction=TEXT, given_input=st.just("") | TEXT, response=TEXT, system=st.just("") | TEXT)
def test_what_a_shape_writes_it_reads_back(shape, instruction, given_input, response, system):
    sample = Sample(instruction, response, (HERE,), input=given_input, system=system)
    parsed = read_row(json.loads(json.dumps(write_row(sample, shape))), HERE)
    (back,) = parsed.samples
    assert (parsed.shape, back.prompt, back.response) == (shape, sample.prompt, response)
    assert back.system == system
    if back.input or not given_input:  # shapes without an input hold it in the prompt
        assert (back.instruction, back.input) == (instruction, given_input)


def test_a_sample_is_written_in_the_words_of_its_shape():
    sample = Sample("Sum up.", "Cats.", (HERE,), input="Cats sleep.", system="Be brief.")
    assert write_row(sample, "sharegpt")["conversations"] == [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Sum up.\n\nCats sleep."},
        {"from": "gpt", "value": "Cats."},
    ]
    assert write_row(sample, "dolly") == {
        "system": "Be brief.",
        "instruction": "Sum up.",
        "context": "Cats sleep.",
        "response": "Cats.",
    }


def test_a_mixture_row_says_its_kind_and_sheds_its_tags():
    row = {"instruction": Q, "input": "x", "output": "<answer>\nC: a\nS: b </answer>"}
    (sample,) = read_row({**row, "task_type": "cs"}, HERE).samples
    assert (sample.kind, sample.response) == ("cs", "C: a\nS: b")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "found no fields"),
        ({"instruction": Q}, "found 'instruction'"),
        ({"te\nxt\x1b[2J": Q}, r"found 'te\nxt\x1b[2J'"),
        ({"instruction": "", "output": A}, "'instruction' is empty"),
        ({"instruction": Q, "output": " \n\u2003"}, "'output' is empty"),
        ({"instruction": Q, "output": None}, "'output': expected text, found NoneType"),
        ({"instruction": float("nan"), "output": A}, "'instruction': expected text, found float"),
        ({"instruction": Q, "input": ["x"], "output": A}, "'input': expected text, found list"),
        ({"instruction": Q, "input": "", "output": "<answer> </answer>", "cot": ""}, "is empty"),
        ({"prompt": [user()], "completion": [assistant()]}, "'prompt': expected text, found list"),
        ({"messages": []}, "found 'messages'"),
        ({"messages": "hello"}, "found 'messages'"),
        ({"messages": [user(), "hello"]}, "expected turns with 'role', found str"),
        ({"messages": [user(), {"content": A}]}, "turns with 'role', found 'content'"),
        ({"messages": [{"role": "system", "content": Q}]}, "the chat has no turns"),
    ],
)
def test_a_row_that_gives_nothing_says_why_in_one_line(row, reason):
    with pytest.raises(FormatError) as caught:
        read_row(row, HERE)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_exchange_that_stands_on_its_own_is_a_sample():
    parsed = chat(user(), assistant(), user("How many moons does Mars have?"), assistant("Two."))
    assert [(s.prompt, s.response, s.place.part) for s in parsed.samples] == [
        (Q, A, 0),
        ("How many moons does Mars have?", "Two.", 1),
    ]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("Now translate it into French please.", "leans on an earlier turn ('now')"),
        ("Could you make the previous list shorter?", "leans on an earlier turn ('previous')"),
        ("Shorter please", "a later turn too short to stand on its own"),
    ],
)
def test_a_later_turn_that_needs_an_earlier_one_is_dropped(prompt, reason):
    parsed = chat(user(), assistant(), user(prompt), assistant())
    assert (len(parsed.samples), reasons(parsed)) == (1, [(1, reason)])
    assert len(chat(user(prompt), assistant()).samples) == 1


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([user()], "a question without an answer"),
        ([assistant()], "an answer without a question"),
        ([user(), assistant(), assistant()], "expected one answer, found user, assistant, assist"),
        ([user(), {"role": "Tool\n", "content": "5"}], "expected one answer, found user, tool"),
        ([user(), assistant("  ")], "a turn without text"),
        ([user(), {"role": "assistant"}], "a turn without text"),
        ([user(), {**assistant(), "tool_calls": [{"id": "1"}]}], "a turn without text"),
        ([user(), {**assistant(), "function_call": {"name": "f"}}], "a turn without text"),
        ([user([{"type": "image_url", "image_url": "x"}]), assistant()], "a turn without text"),
        ([user([{"type": "image", "text": "a cat"}]), assistant()], "a turn without text"),
        ([user([{"type": "text", "text": Q}, {"type": "image"}]), assistant()], "without text"),
    ],
)
def test_an_exchange_that_is_no_pair_of_texts_is_dropped(turns, reason):
    parsed = chat(*turns)
    assert parsed.samples == ()
    assert [(part, reason in why) for part, why in reasons(parsed)] == [(0, True)]


def test_text_in_parts_is_joined():
    parts = [{"type": "text", "text": "Name the largest "}, {"type": "text", "text": "planet."}]
    assert chat(user(parts), assistant()).samples == (Sample(Q, A, (HERE,)),)


def test_a_greeting_before_the_first_question_is_dropped_by_itself():
    parsed = chat(assistant("Hello!"), user(), assistant())
    assert reasons(parsed) == [(0, "an answer without a question")]
    assert [sample.place.part for sample in parsed.samples] == [1]


def test_the_system_prompt_stays_with_every_sample():
    system = {"role": "developer", "content": "Be brief."}
    parsed = chat(system, user(), assistant(), user("Which metal is liquid?"), assistant("Mercury"))
    assert [sample.system for sample in parsed.samples] == ["Be brief.", "Be brief."]


ROLES = st.sampled_from(["system", "user", "human", "assistant", "gpt", "tool", "narrator"])
SAID = st.sampled_from(["", "Why?", "And that?", "Name three rivers in Peru.", None, ["x"]])


@given(st.lists(st.tuples(ROLES, SAID), min_size=1, max_size=12))
def test_every_exchange_of_a_chat_is_a_sample_or_a_drop(turns):
    spoken = [role for role, _ in turns if role != "system"]
    if not spoken:
        return
    asked = sum(role in ("user", "human") for role in spoken)
    exchanges = asked + (spoken[0] not in ("user", "human"))
    parsed = chat(*({"role": role, "content": text} for role, text in turns))
    parts = [sample.place.part for sample in parsed.samples]
    parts += [drop.place.part for drop in parsed.dropped]
    assert sorted(parts) == list(range(exchanges))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "out.jsonl"
    write_jsonl(path, iter([{"a": "é"}]))

    def rows() -> Iterator[dict[str, int]]:
        yield {"a": 2}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_jsonl(path, rows())
    with pytest.raises(UnicodeEncodeError), atomic(path) as file:
        file.write("\ud800")
    assert path.read_text(encoding="utf-8") == '{"a": "é"}\n'
    assert list(path.parent.iterdir()) == [path]


def test_a_disk_that_refuses_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "out", tmp_path / "folder", Path("/dev/null/x")):
        with pytest.raises(
            OutputError, match=r"cannot be written \([A-Z].*\); mend that"
        ) as caught:
            write_jsonl(path, iter([{"a": 1}]))
        assert "\n" not in str(caught.value)
    with pytest.raises(OutputError, match="No space left"), atomic(tmp_path / "full"):
        raise OSError(28, "No space left on device")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
