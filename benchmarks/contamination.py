"""What the check against evaluation questions finds, what it takes for one, and how fast it is.

    python benchmarks/contamination.py FOLDER [--quick]

FOLDER holds gsm8k/test.jsonl, Dolly rows (dolly*.jsonl), pandalm/testset-v1.json,
self_instruct/*.jsonl and, for questions that are short, text/xquad.en.json. Questions are planted
into Dolly rows, word for word and changed; the rows as they are show the false alarms, which are
printed to be looked at. Progress goes to stderr, one JSON object is the last line of stdout, and a
figure that misses its bar gives exit status 1.
"""

import argparse
import json
import random
import re
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from outcome import end, rounded

from minimix.contamination import Match, Questions, index, matches, read_questions
from minimix.pool import read_pool
from minimix.records import Place, Sample

SEED = 42
MANY = 10_000
QUICK = 1_500
LENGTH = 45
LEAST_WORDS = 8
NUMBER = re.compile(r"\d+")
GENERIC = {
    "pandalm": "pandalm/testset-v1.json",
    "user_oriented": "self_instruct/user_oriented_instructions.jsonl",
    "seed_tasks": "self_instruct/seed_tasks.jsonl",
}
BARS = {
    "recall exact": 1.0,
    "recall case, signs, spaces": 1.0,
    "recall one number changed": 0.95,
    "recall all numbers changed": 0.95,
    "recall 10 % of words dropped": 0.95,
    "recall 10 % of words mistyped": 0.95,
    "false alarms on Dolly, gsm8k": 0.001,
    **{f"false alarms on Dolly, {name}": 0.001 for name in (*GENERIC, "xquad")},
    "rows per second": 1000.0,
    "rows per second, many questions": 1000.0,
    "MB, many questions": 500.0,
}
AT_MOST = ("false", "MB")
Change = Callable[[str, random.Random], str]


def signs(text: str, _chance: random.Random) -> str:
    """Return a text in capitals, its spaces line ends and its punctuation dashes."""
    return re.sub(r"[.,;:?!]", " - ", text).upper().replace(" ", "\n ")


def numbers(most: int) -> Change:
    """Return a change of `most` numbers to others, chosen by chance."""

    def change(text: str, chance: random.Random) -> str:
        places = list(NUMBER.finditer(text))
        chosen = chance.sample(places, min(most, len(places)))
        for found in sorted(chosen, key=lambda one: -one.start()):
            other = str(int(found.group()) + chance.randint(1, 9))
            text = text[: found.start()] + other + text[found.end() :]
        return text

    return change


def dropped(share: float) -> Change:
    """Return a change that leaves a share of the words out."""

    def change(text: str, chance: random.Random) -> str:
        words = text.split()
        gone = set(chance.sample(range(len(words)), round(share * len(words))))
        return " ".join(word for place, word in enumerate(words) if place not in gone)

    return change


def mistyped(share: float) -> Change:
    """Return a change that swaps two letters, drops one or adds one in a share of the words."""

    def change(text: str, chance: random.Random) -> str:
        words = text.split()
        for place in chance.sample(range(len(words)), round(share * len(words))):
            word = words[place]
            at = chance.randrange(max(1, len(word) - 1))
            words[place] = chance.choice(
                [
                    word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :],
                    word[:at] + word[at + 1 :],
                    word[:at] + chance.choice("abcdefghijklmnopqrstuvwxyz") + word[at:],
                ]
            )
        return " ".join(words)

    return change


def first_half(text: str, _chance: random.Random) -> str:
    """Return the first half of the words."""
    words = text.split()
    return " ".join(words[: (len(words) + 1) // 2])


CHANGES: dict[str, Change] = {
    "exact": lambda text, _chance: text,
    "case, signs, spaces": signs,
    "one number changed": numbers(1),
    "all numbers changed": numbers(99),
    "10 % of words dropped": dropped(0.1),
    "20 % of words dropped": dropped(0.2),
    "10 % of words mistyped": mistyped(0.1),
    "20 % of words mistyped": mistyped(0.2),
    "first half alone": first_half,
}


def recall(
    asked: Sequence[Sample], questions: Questions, rows: Sequence[Sample], change: Change
) -> float:
    """Return the share of questions found, each planted into a row and changed."""
    chance = random.Random(SEED)
    planted = []
    for number, question in enumerate(asked):
        row, text = rows[number % len(rows)], change(question.instruction, chance)
        planted.append(
            replace(row, input=f"{row.input}\n{text}")
            if number % 2
            else replace(row, response=f"{row.response} {text} {row.response}")
        )
    places = [question.place for question in asked]
    found = {match.sample: match.question for match in matches(planted, questions)}
    right = [found.get(row) == place for row, place in zip(planted, places, strict=True)]
    return sum(right) / len(right)


def squad(path: Path) -> list[Sample]:
    """Return the questions of a file in the format of SQuAD, in its order."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    passages = [passage for article in articles for passage in article["paragraphs"]]
    texts = [qa["question"] for passage in passages for qa in passage["qas"]]
    return [Sample(text, "", (Place("xquad", n, 0, ""),)) for n, text in enumerate(texts, 1)]


def beginnings(rows: Sequence[Sample]) -> Questions:
    """Return the first words of rows as questions, as many as there are rows."""
    return index(Sample(" ".join(row.text.split()[:LENGTH]), "", row.sources) for row in rows)


def show(name: str, found: Sequence[Match], rows: int) -> None:
    """Print what was taken for a question, to be looked at."""
    print(f"{name}: {len(found)} of {rows:,} rows", file=sys.stderr)
    for match in found[:20]:
        text = " ".join(match.sample.prompt.split())[:100]
        print(f"  {match.how} {match.score:.2f} {match.question} | {text}", file=sys.stderr)


def speed(rows: Sequence[Sample], questions: Questions) -> float:
    """Return the rows checked in a second of CPU time."""
    start = time.process_time()
    matches(rows, questions)
    return len(rows) / (time.process_time() - start)


def measure(folder: Path, *, quick: bool) -> tuple[dict[str, float], dict[str, int]]:
    """Return the figures by name, and how much they were measured on."""
    files = sorted(folder.glob("dolly*.jsonl"))
    rows = [row for file in files for row in read_pool(str(file)).samples]
    asked = list(read_pool(str(folder / "gsm8k" / "test.jsonl")).samples)
    if quick:
        rows, asked = rows[:: len(rows) // QUICK], asked[::10]
    questions = index(asked)
    figures: dict[str, float] = {}
    for name, change in CHANGES.items():
        some = [one for one in asked if "number" not in name or NUMBER.search(one.instruction)]
        figures[f"recall {name}"] = recall(some, questions, rows, change)
        print(f"recall {name}: {figures[f'recall {name}']:.4f}", file=sys.stderr)
    short = squad(folder / "text" / "xquad.en.json")
    some = [one for one in short if len(one.instruction.split()) >= LEAST_WORDS]
    for name in ("10 % of words dropped", "10 % of words mistyped"):
        share = recall(some, index(short), rows, CHANGES[name])
        figures[f"recall {name}, xquad of {LEAST_WORDS} words or more"] = share
    checked = {
        "gsm8k": questions,
        "xquad": index(short),
        **{name: read_questions([str(folder / file)]) for name, file in GENERIC.items()},
    }
    for name, others in checked.items():
        found = matches(rows, others)
        show(f"Dolly against {name}", found, len(rows))
        figures[f"false alarms on Dolly, {name}"] = len(found) / len(rows)
    halves = asked[::2], asked[1::2]
    found = matches(halves[0], index(halves[1]))
    show("GSM8K, one half against the other", found, len(halves[0]))
    figures["false alarms, one half of gsm8k against the other"] = len(found) / len(halves[0])
    figures["rows per second"] = speed(rows, questions)
    most = min(MANY, 2 * len(rows) // 3)
    tracemalloc.start()
    many = beginnings(rows[:most])
    figures["MB, many questions"] = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    figures["rows per second, many questions"] = speed(rows[most:], many)
    return figures, {"rows": len(rows), "questions": len(asked), "many_questions": most}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--quick", action="store_true")
    given = options.parse_args()
    figures, sizes = measure(given.folder, quick=given.quick)
    holds = {
        name: figures[name] <= bar if name.startswith(AT_MOST) else figures[name] >= bar
        for name, bar in BARS.items()
    }
    end(
        "contamination",
        holds,
        machine="one thread",
        **sizes,
        figures=rounded(figures),
        bars=BARS,
    )


if __name__ == "__main__":
    main()
