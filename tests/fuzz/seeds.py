"""Small inputs of the real form for each target, and what builds them."""

import gzip
import io
import json
from struct import pack
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from minimix.journal import _key
from minimix.prompt import to_messages
from minimix.records import Task
from tests.fuzz.values import value_of

ROWS: list[dict[str, Any]] = [
    {"instruction": "Name a moon.", "input": "", "output": "Io.", "rating": 3, "source": "a"},
    {"instruction": "Sum.", "input": "1 2", "output": "<answer>Q: a\nA: b</answer>", "cot": "x"},
    {"messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "It."}]},
    {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
    {"prompt": "Say it.", "completion": "It.", "rating_detail": {"Overall_compressed": 4}},
    {"question": "Why?", "answer": "So.", "minimix_rating": {"ratings": [4.0]}},
    {"instruction": "Do.", "context": "c", "response": "Done.", "license": "MIT"},
]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
FIRST = json.dumps(ROWS[0]).encode() + b"\n"
CELLS = b'instruction,input,output,rating\r\nName a moon.,,"Io,\r\n""a moon""",3\r\n=1+1,@x,-2,\r\n'
CHATS = [to_messages(Task("qa", ("Q: a\nA: b", "Q: c\nA: d")))]


def _parquet(rows: list[dict[str, Any]], **how: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, **how)
    return file.getvalue()


def _plain(data: bytes) -> list[bytes]:
    return [data, b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"), data.decode().encode("utf-16")]


FILES: dict[str, list[bytes]] = {
    "data.jsonl": [*_plain(LINES), FIRST, b'{"a": NaN, "a": 1e999}\n[]\n"x"\n{"\\ud800": 1}\n'],
    "data.json": [
        json.dumps(ROWS).encode(),
        *_plain(json.dumps({"data": ROWS[:2]}, indent=1).encode()),
        LINES,
        b'[{"a": [1.5e+9, -0.0, Infinity]}, "x", null, true]',
    ],
    "data.csv": [*_plain(CELLS), b'"a","b"\n"x","y"\n', b"question,answer\nWhy?,So.\n"],
    "data.parquet": [
        _parquet(ROWS[:2]),
        _parquet(ROWS[2:3], compression="none", use_dictionary=False),
        _parquet(ROWS[3:4], compression="zstd", write_statistics=False),
    ],
    "data.jsonl.gz": [gzip.compress(FIRST), gzip.compress(LINES) + gzip.compress(FIRST)],
    "data.json.zst": [zstandard.compress(FIRST), zstandard.compress(json.dumps(ROWS).encode())],
    "data.csv.gz": [gzip.compress(CELLS)],
    "data.parquet.zst": [zstandard.compress(_parquet(ROWS[:1]))],
}
VALUES = [
    bytes([3, 0, 0, 12, 1, 2, 0, 13, 2, 3, 2, 4, 72, 105, 33, 33]),
    bytes([2, 9, 3, 2, 4, 2, 11, 0, 0, 12, 0, 12, 4, 2, 11, 0, 1, 12, 0, 13]),
    bytes([2, 10, 3, 2, 4, 2, 13, 0, 2, 14, 0, 12, 4, 2, 13, 0, 3, 14, 0, 13]),
    bytes([4, 0, 0, 12, 1, 0, 12, 2, 0, 27, 22, 0, 28]),
    bytes([3, 7, 0, 12, 8, 0, 13, 29, 4, 1, 30, 3, 1, 1, 2]),
]
DRAFTS = [
    b"<answer>Q: Why?\nA: Because.</answer>",
    b"<think>hm</think>\n<answer>Q: 1+1?\nA) 1\nB) 2\nC) 3\nD) 4\nAnswer: B</answer>",
    b"<answer>Fish fly.\nAnswer: False</answer>",
    b"<answer>C: Birds\nS: They fly 3,643 km in 1999.</answer> more",
    b"Q: a\nA: b\n\nQ: c\nA: d",
]
REPLIES = [
    b'```json\n{"quality": 3, "x": 1}\n```',
    json.dumps(
        dict.fromkeys(("accuracy", "completeness", "clarity", "helpfulness", "overall"), 5)
    ).encode(),
]
_ANSWER = {"task": 0, "candidate": 0, "text": "<answer>b</answer>", "finish": "stop", "note": ""}
_COHORT = {"cohort": 0, "key": _key(CHATS), "answers": [_ANSWER]}
_RUN = {"settings": {"seed": 42, "embedder": "minilm"}, "engine": {"threads": 2}}
JOURNALS = [
    b"\n".join(json.dumps(one).encode() for one in (_RUN, _COHORT, {**_COHORT, "cohort": 1})),
    b"\n".join(json.dumps(one).encode() for one in (_RUN, _COHORT, _COHORT, "")),
]
TEMPLATES = [
    b"{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    b"{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    b"{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set s = messages[0]['content'] %}"
    b"{% endif %}{% for m in messages[1:] %}{{ '[INST] ' + m['content']|trim + s }}{% endfor %}",
    b"{{ raise_exception('no system role') }}",
    b"{% macro f(x) %}{{ x|tojson(indent=2) }}{% endmacro %}{{ f(messages) }}{{ ns.x ~ 1 // 1 }}",
    b"{% set ns = namespace(i=0) %}{% for k, v in messages[0].items()|sort %}{% set ns.i = ns.i + 1"
    b" %}{{ loop.index0 % 2 }}{{ '%s' % k }}{{ v.split('\\n')[-1] }}{% endfor %}",
]
SETTINGS = [
    b"seed: 7\nbudget: 3%\nmix: 0.5\nrating-range: [0, 5]\nlicense: [mit, cc-by-4.0]\n",
    b"model: x.gguf\nbase_url: http://localhost:8000/v1\ncontext: 2048\ngrammar: true\n",
    b"a: &x [1, 2]\nb: *x\nc: {d: 1}\ne: 2026-11-23\nf: 1:30\ng: !!float 3\n---\nh: ~\n",
]


_GROUP = {"clusters": 2, "odds": 0.5, "rating": 2.5, "rarity": 0.1, "written": 1, "accepted": 1}
_PAIR = {"prompt": "Why?", "response": "So.", "more": 0, "rating": 4.5}
_PAGE: dict[str, Any] = {
    "version": 2,
    "title": "a",
    "counts": {"samples": 3, "fusions": 1, "questions": 0},
    "notes": ["x"],
    "trust": ["rated"],
    "settings": {"seed": "42"},
    "figures": [{"value": "3", "label": "samples in"}],
    "flow": [{"name": "kept", "samples": 2, "kind": "kept"}],
    "went": "3 records.",
    "good": "2.50 of 5.",
    "charts": [
        {"title": "c", "note": "", "labels": ["0", "1"], "series": {"before": [0.5, 1]}},
    ],
    "map": {"title": "m", "note": "", "points": [[0, 1000, "original"]]},
    "fusions": [
        {
            **_PAIR, "id": "ab", "rarity": 0.5, "kept": 1.0, "supported": 1.0, "copied": 0.0,
            "lost": [], "unsupported": ["7"], "changed": [], "mended": True,
            "sources": [{**_PAIR, "place": "f:1"}],
        }
    ],
    "more_fusions": 0,
    "plan": [_GROUP],
    "skipped": [{**_GROUP, "rows": [{"place": "f:1", "prompt": "Why?"}]}],
    "matches": [{"row": "ab", "question": "q:1", "how": "exact", "score": 1}],
    "reasons": [{"stage": "read", "reason": "not JSON", "number": 1}],
    "other_reasons": 0,
}  # fmt: skip
REPORTS = [
    *(json.dumps(one).encode() for one in (_PAGE, {**_PAGE, "charts": []})),
    bytes([1, 7, 22, 3]),
    bytes([3, 10, 0, 3, 2, 2]),
    bytes([5, 10, 0, 3, 0, 0, 4, 0]),
    bytes([4, 12, 0, 10, 0, 3, 1]),
]


def changed_page(data: bytes) -> bytes:
    """Return a page in which one value is another: where, and what it is, by the bytes."""
    page = json.loads(REPORTS[0])
    steps, rest = data[1 : 1 + data[0] % 6], data[1 + data[0] % 6 :]
    at = page
    for number, step in enumerate(steps, 1):
        names = list(at) if isinstance(at, dict) else range(len(at))
        if not names:
            break
        name = names[step % len(names)]
        if number == len(steps) or not isinstance(at[name], dict | list):
            at[name] = next(iter(value_of(rest).values()), None)
            break
        at = at[name]
    try:
        return json.dumps(page).encode()
    except RecursionError:  # what is nested so deep comes as bytes alone
        return REPORTS[0]


def _text(value: bytes) -> bytes:
    return pack("<Q", len(value)) + value


def _gguf(kind: bytes) -> bytes:
    values = [
        _text(b"general.type") + pack("<I", 8) + _text(kind),
        _text(b"general.alignment") + pack("<II", 4, 32),
        _text(b"tokens") + pack("<IIQ", 9, 8, 2) + _text(b"a") + _text(b"b"),
        _text(b"scores") + pack("<IIQ2f", 9, 6, 2, 0.5, 1.5),
        _text(b"flag") + pack("<IB", 7, 1),
    ]
    tensors = [
        _text(b"one") + pack("<I2QIQ", 2, 3, 2, 1, 0),
        _text(b"two") + pack("<I2QIQ", 2, 32, 5, 2, 32),
    ]
    head = b"GGUF" + pack("<IQQ", 3, len(tensors), len(values)) + b"".join([*values, *tensors])
    return head + bytes(-len(head) % 32 + 32 + 90)


HEADERS = [_gguf(b"model"), _gguf(b"adapter")]


def archive(data: bytes) -> bytes:
    """Return a rater's file made of `data`: its text, then arrays as numpy's headers and bytes."""
    meta, *arrays = data.split(b"\xff\xfe")
    parts: dict[str, np.ndarray] = {}
    for one in arrays:
        name, shape, content = [*one.split(b"|", 2), b"", b""][:3]
        sizes = [
            min(int(size), 400) for size in shape.split(b",") if size.isdigit() and len(size) < 5
        ]
        kind = "<f4" if shape.startswith(b"f") else "<i1"
        count = int(np.prod(sizes)) if len(sizes) < 4 else 1
        values = np.resize(np.frombuffer(content[: len(content) // 4 * 4] or bytes(4), kind), count)
        parts[name.decode("latin-1").replace("/", "") or "x"] = (
            values.reshape(sizes) if len(sizes) < 4 else values
        )
    parts["meta"] = np.array(meta.decode("utf-8", "replace"))
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **parts)
    return file.getvalue()


_META = json.dumps({"form": 1, "about": "x", "synthetic": ["qa"], "agreement": {}}).encode()
_LEARNT = b"\xff\xfe".join(
    b"qa.%s|f,%s|\0\0\x80\x3f" % part
    for part in (
        (b"words0", b"9"), (b"words1", b"9"), (b"words2", b"9"), (b"words3", b"9"),
        (b"bases", b"2"), (b"dense", b"390"), (b"mean", b"390"), (b"scale", b"390"),
        (b"features", b"2,3"), (b"thresholds", b"2,3"), (b"leaves", b"2,4"),
        (b"calibration", b"2,3"), (b"length", b"2,3"), (b"neutral", b"2,3"),
    )
)  # fmt: skip
RATERS = [
    _META + b"\xff\xfeqa.embeddings|i,3,384|\1\2\3\4\xff\xfeqa.classes|i,3|\0\1\2\3",
    _META + b"\xff\xfe" + _LEARNT,
    archive(_META + b"\xff\xfeqa.embeddings|i,3,256|\1\2\3\4\xff\xfeqa.classes|i,3|\0\1\2\3"),
]
_CHOICE = {"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
ANSWERS = [
    b"200|content-type=application/json\n" + json.dumps({"choices": [_CHOICE]}).encode(),
    b'200|content-type=text/html; charset=utf-16\n{"data": [{"id": "m"}]}',
    b"429|retry-after=3\nslow down",
    b'400\n{"error": {"message": "maximum context length is 2048", "type": "response_format"}}',
    b"302|location=http://elsewhere\n",
    b"302|location=http://\xe0\n",
    b"302|location=http:x\n",
    b"200|content-encoding=gzip\n" + gzip.compress(b"{}"),
]
EXAMPLES = [
    json.dumps(
        {
            "kind": "qa",
            "parts": ["Q: a\nA: b"],
            "reference": "Q: a\nA: b",
            "think": True,
            "thought": "so",
            "made": "variants",
            "sources": [{"file": "f", "line": 1, "part": 0, "sha256": "0"}],
        }
    ).encode(),
    b'{"kind": "cs", "parts": ["C: a\\nS: b"], "reference": "C: a\\nS: b"}\n',
]
