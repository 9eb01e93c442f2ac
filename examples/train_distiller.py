"""Train the small distiller that minimix ships, on a CPU: the first one, made in about an hour.

    pip install 'minimix[train]'
    python examples/train_distiller.py dolly_rated_00.jsonl dolly_rated_01.jsonl --minutes 60

Two sorts of task are made from rated rows: partial, noisy variants of one row, whose target is the
row; and neighbours that ask different things about one subject, whose target asks both and answers
with every sentence of both. Prompt and tokens are those of `minimix distill`. The base is the
bundled model as it is served (Q4_0); only a LoRA is trained, on the answers, and written as GGUF.
A run that is stopped goes on from its last checkpoint.
"""

import argparse
import json
import math
import random
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFWriter
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import AutoModelForCausalLM

from minimix.embed import load_embedder
from minimix.engines.bundled import cache_folder, fast_model
from minimix.engines.model import LlamaModel
from minimix.neighbours import nearest
from minimix.prompt import part_text, to_messages
from minimix.records import Place, Sample, Task

ADAPTER = Path(__file__).parent.parent / "minimix" / "engines" / "distiller.lora.gguf"
EXAMPLE = Path(__file__).parent / "dolly.jsonl"
RANK, ALPHA, RATE, BATCH, LONGEST = 16, 32, 4e-4, 4, 640
PAD = 64
SAVE_EVERY = 20
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
STARTERS = frozenset(
    """what who how why when where which is are was were can could do does did give list name
    explain describe write tell identify classify create provide find suggest compare should will
    in""".split()
)
NAMES = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
Pair = tuple[list[int], list[int]]


def sentences(text: str) -> list[str]:
    """Return the sentences and lines of `text`."""
    return [part.strip() for part in SENTENCE.split(text) if part.strip()]


def noisy(text: str, rng: random.Random, strength: float = 1.0) -> str:
    """Return `text` with casing, points and letters lost here and there."""
    if rng.random() < 0.5 * strength:
        text = text.lower()
    if rng.random() < 0.3 * strength:
        text = re.sub(r"[.,;:!?]", "", text)
    words = []
    for word in text.split(" "):
        if len(word) > 4 and word.isalpha() and rng.random() < 0.04 * strength:
            at = rng.randrange(1, len(word) - 2)
            word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        words.append(word)
    return " ".join(words)


def variants(row: dict[str, Any], rng: random.Random) -> list[Sample] | None:
    """Return 2..4 partial, noisy variants that together hold every sentence of a row."""
    whole = sentences(row["output"])
    if len(whole) < 2:
        return None
    count = rng.randint(2, 4)
    held: list[list[int]] = [[] for _ in range(count)]
    for number in range(len(whole)):
        for one in rng.sample(range(count), rng.randint(1, max(1, count - 1))):
            held[one].append(number)
    made = []
    for numbers in held:
        if numbers:
            question = row["instruction"]
            question = noisy(question, rng) if rng.random() < 0.5 else question
            made.append(_sample(question, noisy(" ".join(whole[n] for n in numbers), rng)))
    return made if len(made) > 1 else None


def wider(questions: list[str]) -> str:
    """Return one question that asks all of `questions`."""
    text = questions[0].strip()
    for question in questions[1:]:
        question = question.strip()
        first, _, rest = question.partition(" ")
        if first.lower() in STARTERS:
            question = f"{first.lower()} {rest}"
        both = text.endswith("?") and question.endswith("?")
        link = " Also, " if text.endswith(("?", "!")) else ". Also, "
        text = f"{text[:-1]}, and {question}" if both else text.rstrip(".") + link + question
    return text


def together(answers: list[str]) -> str:
    """Return the answers as one, without sentences that say what has been said."""
    said: set[str] = set()
    kept = []
    for answer in answers:
        for sentence in sentences(answer):
            words = {word.lower() for word in re.findall(r"\w+", sentence)}
            if len(words - said) > 0.2 * len(words):
                kept.append(sentence if sentence[-1] in ".!?:;," else sentence + ".")
                said |= words
    return " ".join(kept)


def _sample(question: str, answer: str) -> Sample:
    return Sample(question, answer, (Place("", 1, 0, ""),))


def read(files: list[str]) -> list[dict[str, Any]]:
    """Return the rows to train on: rated 2 or more, short, none of the example's."""
    shown = {json.loads(line)["instruction"] for line in EXAMPLE.read_text().splitlines()}
    rows = [json.loads(line) for name in files for line in Path(name).read_text().splitlines()]
    return [
        row
        for row in rows
        if row["score_aligned"]
        and row["score_gpt4o_mini"] >= 2
        and not row["input"]
        and row["instruction"] not in shown
        and 10 <= len(row["output"].split()) <= 130
    ]


def tasks(rows: list[dict[str, Any]], seed: int) -> list[tuple[list[Sample], str]]:
    """Return (parts, target answer) of both sorts, shuffled."""
    made: list[tuple[list[Sample], str]] = []
    for row in rows:
        rng = random.Random(f"{seed}{row['id']}")
        parts = variants(row, rng)
        if parts:
            made.append((parts, f"<answer>Q: {row['instruction']}\nA: {row['output']}</answer>"))
    short = [row for row in rows if len(row["output"].split()) <= 70]
    texts = [f"{row['instruction']}\n{row['output']}" for row in short]
    near, cosines = nearest(load_embedder().embed(texts), count=4)
    for number, row in enumerate(short):
        rng = random.Random(f"{seed}near{row['id']}")
        others = [
            o for o, cosine in zip(near[number], cosines[number], strict=True) if cosine > 0.5
        ]
        group = [row, *(short[other] for other in others[: rng.randint(1, 2)])]
        if len(group) > 1:
            parts = [
                _sample(noisy(one["instruction"], rng, 0.5), noisy(one["output"], rng, 0.5))
                for one in group
            ]
            question = wider([one["instruction"] for one in group])
            answer = together([one["output"] for one in group])
            made.append((parts, f"<answer>Q: {question}\nA: {answer}</answer>"))
    random.Random(seed).shuffle(made)
    return made


def encode(model: LlamaModel, made: list[tuple[list[Sample], str]]) -> list[Pair]:
    """Return (prompt ids, answer ids) of the tasks that fit, in order."""
    eot = int(model.c.llama_vocab_eot(model.vocab))
    pairs = []
    for parts, target in made:
        prompt = model.prompt_ids(to_messages(Task("qa", tuple(map(part_text, parts)))))
        answer = [*model.tokenize(target, False), eot]
        if len(prompt) + len(answer) <= LONGEST:
            pairs.append((prompt, answer))
    return pairs


def batch(pairs: list[Pair]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ids, labels (-100 on prompts) and mask, padded to a multiple of 64."""
    width = -(-max(len(p) + len(a) for p, a in pairs) // PAD) * PAD
    ids = torch.zeros(len(pairs), width, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    mask = torch.zeros_like(ids)
    for row, (prompt, answer) in enumerate(pairs):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
        mask[row, :end] = 1
    return ids, labels, mask


def batches(pairs: list[Pair]) -> list[list[int]]:
    """Return rows in batches of like length, in an order that mixes the lengths."""
    rows = sorted(range(len(pairs)), key=lambda row: sum(map(len, pairs[row])))
    made = [rows[start : start + BATCH] for start in range(0, len(rows) - BATCH + 1, BATCH)]
    random.Random(0).shuffle(made)
    return made


def answer_loss(
    model: Any, ids: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Return the mean loss over answer tokens; logits are made for those alone."""
    causal = model.get_base_model()
    hidden = causal.model(input_ids=ids, attention_mask=mask).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    logits = causal.lm_head(hidden[wanted != -100])
    return torch.nn.functional.cross_entropy(logits.float(), wanted[wanted != -100])


def lora_model(base: Path) -> Any:
    """Return the dequantised base in bf16 with a fresh LoRA in f32 on every linear layer."""
    model = AutoModelForCausalLM.from_pretrained(
        str(base.parent), gguf_file=base.name, dtype=torch.bfloat16
    )
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(NAMES), task_type="CAUSAL_LM")
    model = get_peft_model(model, config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def train(model: Any, pairs: list[Pair], checkpoint: Path, minutes: float) -> None:
    """Train one pass over `pairs`, or as long as `minutes` allow; the rate falls with progress."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    step, spent = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        set_peft_model_state_dict(model, state["lora"])
        optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["seconds"]
    model.train()
    order = batches(pairs)
    start, losses = time.monotonic() - spent, list[float]()
    while step < len(order) and time.monotonic() - start < minutes * 60:
        done = max(step / len(order), (time.monotonic() - start) / (minutes * 60))
        rate = RATE * min(1, (step + 1) / 10) * 0.5 * (1 + math.cos(math.pi * done))
        optimizer.param_groups[0]["lr"] = rate
        ids, labels, mask = batch([pairs[row] for row in order[step]])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = answer_loss(model, ids, labels, mask)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        step += 1
        if step % SAVE_EVERY == 0:
            seconds = time.monotonic() - start
            recent = np.mean(losses[-SAVE_EVERY:])
            print(f"step {step}/{len(order)}  loss {recent:.3f}  {seconds:.0f} s", flush=True)
            save(checkpoint, model, optimizer, {"step": step, "seconds": seconds})


def save(path: Path, model: Any, optimizer: Any, done: dict[str, float]) -> None:
    """Keep what a run goes on from."""
    lora = get_peft_model_state_dict(model)
    torch.save({"lora": lora, "optimizer": optimizer.state_dict(), **done}, path)


def write_lora(model: Any, path: Path) -> None:
    """Write the LoRA as a GGUF adapter for llama.cpp, in f16.

    Rows of q and k go from the order of transformers (halves) to that of llama.cpp (pairs).
    """
    writer = GGUFWriter(str(path), "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(ALPHA))
    config = model.config
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, tensor in get_peft_model_state_dict(model).items():
        layer, module, half = re.search(r"layers\.(\d+)\.\w+\.(\w+)\.lora_([AB])\.", name).groups()  # type: ignore[union-attr]
        values = tensor.float().numpy()
        if half == "B" and module in heads:
            paired = values.reshape(heads[module], 2, -1, values.shape[1]).swapaxes(1, 2)
            values = paired.reshape(values.shape)
        target = f"blk.{layer}.{NAMES[module]}.weight.lora_{half.lower()}"
        writer.add_tensor(target, np.ascontiguousarray(values.astype(np.float16)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Build the tasks, train, write the adapter."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("files", nargs="+", help="rated rows, JSON lines")
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--seed", type=int, default=42)
    given = options.parse_args()
    torch.manual_seed(given.seed)
    base = fast_model()
    with LlamaModel(base, gpu_layers=0) as llama:
        pairs = encode(llama, tasks(read(given.files), given.seed))
    print(f"{len(pairs)} tasks that fit {LONGEST} tokens", flush=True)
    model = lora_model(base)
    checkpoint = cache_folder() / "distiller.pt"
    train(model, pairs, checkpoint, given.minutes)
    write_lora(model, ADAPTER)
    print(f"{ADAPTER}: {ADAPTER.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
