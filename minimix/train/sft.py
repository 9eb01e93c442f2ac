"""SFT, the cold start: the distiller learns the form of an answer and what merging is.

The trainer is trl's. It is given ids with labels on the answers alone, so logits are made for
answer tokens only, and batches of like length in few shapes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minimix.disk import file_sha256
from minimix.errors import ConfigError, DataError
from minimix.extras import need
from minimix.mixture.tasks import HELD_OUT, TRAIN, read_examples
from minimix.progress import Say, unheard
from minimix.train import backends
from minimix.train.adapter import WEIGHTS
from minimix.train.batches import LikeLengths, answer_loss, dataset
from minimix.train.folder import ADAPTER, Trained, begin, steps_done
from minimix.train.inputs import read_start, tasks_hash
from minimix.train.settings import SftConfig
from minimix.train.steps import go_on, shared_arguments, step_count
from minimix.train.tokens import Encoded, encode
from minimix.train.watch import Log, is_first, listener

PLOT = "loss.png"
NEW = "a new one"
COLUMNS = ("loss", "eval_loss", "learning_rate", "grad_norm", "tokens")


@dataclass(frozen=True, slots=True)
class Lesson:
    """Rows to learn from, how many were too long to be among them, and rows held out."""

    train: Sequence[Encoded]
    left_out: int
    held: Sequence[Encoded] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """What makes the rows with a model's tokenizer, and by hash what they are made from.

    A run goes on only with rows made from the same.
    """

    read: Callable[[Any], Lesson]
    made_from: Mapping[str, str]


def sft(
    tasks: Path,
    output: Path,
    config: SftConfig,
    *,
    adapter: Path | None = None,
    restart: bool = False,
    say: Say = unheard,
) -> Trained:
    """Train a LoRA on a folder of tasks and return what came of it; `output`/adapter holds it.

    It is a new one, or begins as `adapter`, which stays as it is. Goes on from the last checkpoint
    in `output`, if the settings are those it was made with. Raises DataError where no task fits,
    ConfigError for other settings or where `adapter` is of another shape.
    """

    def read(tokenizer: Any) -> Lesson:
        examples = read_examples(tasks / TRAIN)
        train, left_out = encode(examples, tokenizer, max_length=config.max_length)
        if not train:
            raise DataError(f"{tasks / TRAIN}: no task fits max_length {config.max_length}")
        return Lesson(train, left_out, _held_out(tasks, tokenizer, config))

    course = Course(read, tasks_hash(tasks))
    return fit(course, output, config, adapter=adapter, restart=restart, say=say)


def fit(
    course: Course,
    output: Path,
    config: SftConfig,
    *,
    adapter: Path | None = None,
    restart: bool = False,
    say: Say = unheard,
) -> Trained:
    """Train a LoRA on the rows of a course; as `sft` otherwise."""
    backend = backends.prepare(config.backend)
    inputs = {**course.made_from, "backend used": backend, "adapter": _started(adapter, config)}
    with begin(output, config, inputs, restart=restart) as checkpoint:
        model, tokenizer = backends.open_model(wanted(config), backend)
        if adapter:
            backends.load_weights(model, read_start(adapter).folder)
        lesson = course.read(tokenizer)
        steps = step_count(len(lesson.train), config)
        say(
            f"{len(lesson.train):,} rows, {lesson.left_out:,} longer than {config.max_length} "
            f"tokens left out; {len(lesson.held):,} held out; step {steps_done(checkpoint):,} of "
            f"{steps:,}; {backend}"
        )
        log = Log(output, COLUMNS, done=steps_done(checkpoint))
        arguments = _arguments(output, config, steps, backend)
        trainer = _trainer(model, tokenizer, lesson, arguments=arguments, backend=backend)
        trainer.add_callback(_listener(log, steps, say))
        done = go_on(trainer, model, checkpoint, steps)
        if is_first():
            backends.save_adapter(model, config.base, output / ADAPTER)
        log.plot(("loss", "eval_loss"), PLOT)
        return Trained(
            steps=done,
            tasks=len(lesson.train),
            left_out=lesson.left_out,
            loss=log.last("loss"),
            eval_loss=log.last("eval_loss"),
            tokens=round(log.last("tokens") or 0),
            adapter=output / ADAPTER,
        )


def _started(adapter: Path | None, config: SftConfig) -> str:
    """Return the hash of the adapter to begin with; raises ConfigError where it is of no use."""
    if not adapter:
        return NEW
    start = read_start(adapter)
    found = {"base": start.base, **{name: start.config[name] for name in ("r", "lora_alpha")}}
    for name, value in found.items():
        if value != getattr(config, name):
            raise ConfigError(
                f"{name}: expected {value}, that of {adapter}, found {getattr(config, name)}"
            )
    return file_sha256(start.folder / WEIGHTS)


def wanted(config: SftConfig) -> backends.Wanted:
    """Return the model that a training with these settings opens."""
    return backends.Wanted(
        base=config.base,
        r=config.r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        load_in_4bit=config.load_in_4bit,
        gradient_checkpointing=config.gradient_checkpointing,
        max_length=config.max_length,
        seed=config.seed,
    )


def _arguments(output: Path, config: SftConfig, steps: int, backend: str) -> Any:
    chunked = backend == backends.PLAIN and backends.has_gpu()  # Unsloth has a way of its own
    return need("trl", extra="train").SFTConfig(
        **shared_arguments(output, config, steps),
        max_length=None,  # what is too long was left out, nothing is cut
        pad_to_multiple_of=config.pad_to_multiple_of,
        dataset_kwargs={"skip_prepare_dataset": True},
        packing=False,
        padding_free=False,
        loss_type="chunked_nll" if chunked else "nll",
        per_device_eval_batch_size=config.per_device_train_batch_size,
        eval_strategy="steps" if config.eval_rows else "no",
        eval_steps=config.save_steps,
        prediction_loss_only=True,
    )


def _held_out(tasks: Path, tokenizer: Any, config: SftConfig) -> list[Encoded]:
    """Return the first held-out tasks that fit, none where there is no such file."""
    if not config.eval_rows or not (tasks / HELD_OUT).is_file():
        return []
    examples = read_examples(tasks / HELD_OUT)
    fitting, _ = encode(examples, tokenizer, max_length=config.max_length)
    return sorted(fitting[: config.eval_rows], key=len)


def _trainer(
    model: Any,
    tokenizer: Any,
    lesson: Lesson,
    *,
    arguments: Any,
    backend: str,
) -> Any:
    trl, transformers = need("trl", extra="train"), need("transformers", extra="train")
    lengths = [len(one) for one in lesson.train]
    own_loss = backend == backends.PLAIN and not backends.has_gpu()

    class Trainer(trl.SFTTrainer):  # type: ignore[misc,name-defined]
        def _get_train_sampler(self, *_: Any) -> LikeLengths:
            batch = arguments.per_device_train_batch_size
            return LikeLengths(lengths, batch, arguments.pad_to_multiple_of, arguments.seed)

        def compute_loss(self, model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
            if not own_loss:
                return super().compute_loss(model, inputs, *given, **named)
            with self.accelerator.autocast():
                count = named.get("num_items_in_batch")
                loss = answer_loss(model, inputs["input_ids"], inputs["labels"], count)
            if model.training:
                self._total_train_tokens += int(inputs["attention_mask"].sum())
                self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
            return (loss, {}) if named.get("return_outputs") else loss

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """Write none: it would name paths of this machine."""

    if not lesson.held:
        arguments.eval_strategy = transformers.IntervalStrategy.NO
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=dataset(lesson.train),
        eval_dataset=dataset(lesson.held) if lesson.held else None,
        processing_class=tokenizer,
    )
    collators = need("trl.trainer.sft_trainer", extra="train")
    trainer.data_collator = collators.DataCollatorForLanguageModeling(
        pad_token_id=tokenizer.pad_token_id, pad_to_multiple_of=arguments.pad_to_multiple_of
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def _listener(log: Log, steps: int, say: Say) -> Any:
    names = {"num_tokens": "tokens"}

    def heard(step: int, numbers: Mapping[str, float]) -> None:
        if not numbers.keys() & {"loss", "eval_loss"}:
            return  # the trainer's summary at the end
        row = log.add(step, {names.get(name, name): value for name, value in numbers.items()})
        shown = [f"{name} {row[name]:.4g}" for name in ("loss", "eval_loss") if name in numbers]
        say(f"step {step:,}/{steps:,}  {'  '.join(shown)}  {row['seconds']:,.0f} s")

    def saved() -> None:
        log.plot(("loss", "eval_loss"), PLOT)

    return listener(heard, saved)
