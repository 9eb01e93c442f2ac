"""GRPO from an SFT adapter: candidates of one task compete, by the reward that judges them later.

The trainer is trl's. It sees the numbers of tasks in place of their prompts, and is given ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minimix.disk import file_sha256
from minimix.embed import Embedder, load_embedder
from minimix.errors import DataError
from minimix.extras import need
from minimix.mixture.tasks import TRAIN, read_examples
from minimix.progress import Say, unheard
from minimix.rating import open_rater
from minimix.records import Task
from minimix.scoring import Judges
from minimix.train import backends
from minimix.train.adapter import WEIGHTS, Adapter
from minimix.train.batches import Groups, groups_of
from minimix.train.folder import ADAPTER, Trained, begin, steps_done
from minimix.train.inputs import embedder_hash, rater_hash, read_start, tasks_hash
from minimix.train.rewards import Judging, check_kinds
from minimix.train.settings import GrpoConfig
from minimix.train.steps import go_on, shared_arguments, step_count
from minimix.train.tokens import prompt_ids
from minimix.train.watch import WARNING, Log, is_first, listener, runaway

PARTS = ("reward", "quality", "alignment", "format", "copied")
FROM_TRL = {
    "completions/mean_length": "length",
    "completions/clipped_ratio": "cut",
    "frac_reward_zero_std": "no_variance",
}
COLUMNS = (*PARTS, *FROM_TRL.values(), "kl", "loss", "learning_rate", "grad_norm")
PLOT = "reward.png"
SHOWN = ("reward", "quality", "alignment", "format", "length", "copied", "no_variance", "kl")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The tasks of a run with their prompts as ids, and how many were too long."""

    tasks: tuple[Task, ...]
    prompts: tuple[list[int], ...]
    left_out: int


def grpo(
    tasks: Path,
    adapter: Path,
    output: Path,
    config: GrpoConfig,
    *,
    restart: bool = False,
    say: Say = unheard,
) -> Trained:
    """Train an SFT adapter on by reward and return what came of it; it stays as it is.

    Goes on from the last checkpoint in `output`, if settings, tasks, adapter, rater and embedder
    are those it was made with. Raises DataError where no task fits or one cannot be scored,
    ModelError where the adapter is none of ours.
    """
    backend = backends.prepare(config.backend)
    generator = backends.writes_with(config.generator, backend)
    start = read_start(adapter)
    inputs = {
        **tasks_hash(tasks),
        "backend used": backend,
        "adapter": file_sha256(start.folder / WEIGHTS),
        "generator used": generator,
        **rater_hash(config.rater),
    }
    embedder = load_embedder(config.embedder)
    inputs |= embedder_hash(embedder)
    with begin(output, config, inputs, restart=restart) as checkpoint:
        model, tokenizer = backends.open_model(_wanted(start, config, generator), backend)
        backends.load_weights(model, start.folder)
        asked = _asked(tasks / TRAIN, tokenizer, config)
        judging = Judging(asked.tasks, _judges(config, embedder))
        check_kinds(asked.tasks, judging.judges)
        steps = step_count(len(asked.tasks) * config.num_generations, config)
        say(
            f"{len(asked.tasks):,} tasks, {asked.left_out:,} longer than "
            f"{config.max_prompt_length} tokens left out; step {steps_done(checkpoint):,} of "
            f"{steps:,}; {backend}, candidates by {generator}"
        )
        arguments = _arguments(output, config, steps, generator)
        trainer = _trainer(model, tokenizer, asked.prompts, judging, arguments=arguments)
        log = Log(output, COLUMNS, done=steps_done(checkpoint))
        trainer.add_callback(_listener(log, judging, steps, config.watch_steps, say))
        done = go_on(trainer, model, checkpoint, steps)
        if is_first():
            backends.save_adapter(model, start.base, output / ADAPTER)
        log.plot(PARTS, PLOT)
        return Trained(
            steps=done,
            tasks=len(asked.tasks),
            left_out=asked.left_out,
            loss=log.last("loss"),
            reward=log.last("reward"),
            adapter=output / ADAPTER,
        )


def _wanted(start: Adapter, config: GrpoConfig, generator: str) -> backends.Wanted:
    return backends.Wanted(
        base=start.base,
        r=int(start.config["r"]),
        lora_alpha=int(start.config["lora_alpha"]),
        lora_dropout=float(start.config.get("lora_dropout", 0.0)),
        load_in_4bit=config.load_in_4bit,
        gradient_checkpointing=config.gradient_checkpointing,
        max_length=config.max_prompt_length + config.max_completion_length,
        seed=config.seed,
        vllm_share=config.vllm_gpu_memory_utilization if generator == "vllm" else 0.0,
    )


def _asked(file: Path, tokenizer: Any, config: GrpoConfig) -> Asked:
    """Return the tasks whose prompts fit; raises DataError where they fill no step."""
    given = [example.task for example in read_examples(file)]
    made = [(task, prompt_ids(tokenizer, task)) for task in given]
    fitting = [(task, ids) for task, ids in made if len(ids) <= config.max_prompt_length]
    least = config.per_step // config.num_generations
    if len(fitting) < least:
        raise DataError(
            f"{file}: expected {least} tasks or more for one step, found "
            f"{len(fitting)} of at most {config.max_prompt_length} tokens"
        )
    return Asked(
        tasks=tuple(task for task, _ in fitting),
        prompts=tuple(ids for _, ids in fitting),
        left_out=len(given) - len(fitting),
    )


def _judges(config: GrpoConfig, embedder: Embedder) -> Judges:
    return Judges(
        rate=open_rater(config.rater).rate,
        embed=embedder.embed,
        continuous=config.quality == "continuous",
    )


def _arguments(output: Path, config: GrpoConfig, steps: int, generator: str) -> Any:
    """Return trl's settings; what Unsloth would set otherwise is said, so that both agree."""
    return need("trl", extra="train").GRPOConfig(
        **shared_arguments(output, config, steps),
        remove_unused_columns=False,
        pad_to_multiple_of=config.pad_to_multiple_of,
        num_generations=config.num_generations,
        max_completion_length=config.max_completion_length,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=0,
        repetition_penalty=1.0,
        beta=config.beta,
        epsilon=config.epsilon,
        epsilon_high=config.epsilon,
        num_iterations=config.num_iterations,
        steps_per_generation=config.gradient_accumulation_steps,
        loss_type=config.loss_type,
        scale_rewards=config.scale_rewards,
        importance_sampling_level="token",
        multi_objective_aggregation="sum_then_normalize",
        mask_truncated_completions=config.mask_truncated_completions,
        use_vllm=generator == "vllm",
        vllm_mode="colocate",
        vllm_gpu_memory_utilization=config.vllm_gpu_memory_utilization,
        vllm_max_model_length=config.max_prompt_length + config.max_completion_length,
        log_completions=False,
    )


def _trainer(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[list[int]],
    judging: Judging,
    *,
    arguments: Any,
) -> Any:
    trl, transformers = need("trl", extra="train"), need("transformers", extra="train")

    class Trainer(trl.GRPOTrainer):  # type: ignore[misc,name-defined]
        def _tokenize_prompts(self, numbers: list[str]) -> tuple[list[list[int]], None, Any]:
            return [prompts[int(number)] for number in numbers], None, {}

        def _load_from_checkpoint(self, checkpoint: str, *_: Any) -> None:
            """Load the adapter, of which transformers would load the frozen copy alone."""
            backends.load_weights(self.model, Path(checkpoint))

        def _get_train_sampler(self, *_: Any) -> Groups:
            """Draw the order from seed and epoch: trl's begins anew where a run goes on."""
            return groups_of(len(prompts), arguments)

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """Write none: it would name paths of this machine."""

    def reward(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        return judging.reward(prompts, completions)

    numbers = [{"prompt": str(number)} for number in range(len(prompts))]
    trainer = Trainer(
        model=model,
        reward_funcs=[reward],
        args=arguments,
        train_dataset=need("datasets").Dataset.from_list(numbers),
        processing_class=tokenizer,
    )
    if arguments.beta:
        backends.keep_reference(model)
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def _listener(log: Log, judging: Judging, steps: int, first: int, say: Say) -> Any:
    warned: set[str] = set()

    def heard(step: int, numbers: Mapping[str, float]) -> None:
        if "loss" not in numbers:
            return  # the trainer's summary at the end
        known = {FROM_TRL.get(name, name): value for name, value in numbers.items()}
        row = log.add(step, known | judging.means())
        shown = "  ".join(f"{name} {row[name]:.3g}" for name in SHOWN if name in row)
        say(f"step {step:,}/{steps:,}  {shown}  {row['seconds']:,.0f} s")
        for name, warning in runaway(log.rows, first).items():
            if name not in warned:
                steps_seen = max(first, round(log.rows[0]["step"]))
                say(f"{WARNING}{warning} since the first {steps_seen} steps")
            warned.add(name)

    def saved() -> None:
        log.plot(PARTS, PLOT)

    return listener(heard, saved)
