"""Make minimix/audit/words.txt: common English words, the commonest first, for the audit.

    python examples/make_words.py dolly_rated_00.jsonl dolly_rated_01.jsonl

A word counts once a row; words that are as often written with a capital within a sentence are
names, and left out.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

WORDS = Path(__file__).parent.parent / "minimix" / "audit" / "words.txt"
MOST = 8_000
FEWEST_ROWS = 3
SMALL = re.compile(r"(?<![\w'])[a-z]{2,}(?![\w'])")
CAPITAL = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+\b")


def main() -> None:
    """Count and write."""
    small: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    for name in sys.argv[1:]:
        for line in Path(name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            text = "\n".join([row["instruction"], row["input"], row["output"]])
            small.update(set(SMALL.findall(text)))
            capital.update(word.lower() for word in set(CAPITAL.findall(text)))
    common = sorted(
        (word for word, rows in small.items() if rows >= FEWEST_ROWS and 2 * rows > capital[word]),
        key=lambda word: (-small[word], word),
    )
    WORDS.write_text("\n".join(common[:MOST]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
