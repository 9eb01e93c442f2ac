"""Every setting of a training with its default, unit and range; presets, YAML and flags fill in.

Names are those of transformers, peft and trl where they have one. Each field carries its help
text and range, from which the command line and the checks are made.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from minimix.config import BUNDLED
from minimix.errors import ConfigError

BACKENDS = ("auto", "plain", "unsloth")
GENERATORS = ("auto", "transformers", "vllm")
QUALITIES = ("tiers", "continuous")
LOSSES = ("dapo", "grpo", "bnpo", "dr_grpo")
SCALES = ("group", "batch", "none")
NO_STEPS = -1
"""`max_steps` for as many as the epochs make."""
MOST = 1e9
LEAST_EPOCHS = 0.001


def _setting(default: Any, about: str, low: float | None = None, high: float = MOST) -> Any:
    """Return a field with its help text, and for a number its range."""
    return field(default=default, metadata={"help": about, "low": low, "high": high})


def _choice(default: str, about: str, choices: tuple[str, ...]) -> Any:
    """Return a field that takes one of a few names."""
    listed = f"{about}: {', '.join(choices)}."
    return field(default=default, metadata={"help": listed, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What SFT and GRPO share."""

    backend: str = _choice("auto", "auto takes Unsloth on a GPU, plain on a CPU", BACKENDS)
    load_in_4bit: bool = _setting(True, "Base in 4 bits (nf4, through bitsandbytes).")
    seed: int = _setting(42, "Seed of all chance.", 0)
    learning_rate: float = _setting(2e-4, "Highest learning rate of AdamW.", 0, 1)
    per_device_train_batch_size: int = _setting(4, "Rows in one pass through the model.", 1)
    gradient_accumulation_steps: int = _setting(4, "Passes that make one step.", 1)
    num_train_epochs: float = _setting(3.0, "Passes over the tasks.", LEAST_EPOCHS, 1000)
    max_steps: int = _setting(NO_STEPS, "Steps in all, whatever the epochs; -1: no limit.", -1)
    warmup_steps: int = _setting(10, "Steps over which the learning rate rises.", 0)
    decay: float = _setting(0.2, "Share of all steps, at the end, in which it falls to 0.", 0, 1)
    weight_decay: float = _setting(0.0, "Decoupled weight decay of AdamW.", 0, 1)
    max_grad_norm: float = _setting(1.0, "Gradients are clipped to this norm.", 0)
    gradient_checkpointing: bool = _setting(True, "Recompute activations rather than keep them.")
    pad_to_multiple_of: int = _setting(64, "Tokens: few lengths keep memory from growing.", 1)
    logging_steps: int = _setting(10, "Steps between two lines of the log.", 1)
    save_steps: int = _setting(100, "Steps between two checkpoints.", 1)
    save_total_limit: int = _setting(2, "Checkpoints that are kept.", 1)
    report_to: str = _setting("none", "Trackers for transformers, such as wandb or tensorboard.")

    def __post_init__(self) -> None:
        """Raise ConfigError for a setting of the wrong type or out of range."""
        for one in fields(self):
            _check(one.name, getattr(self, one.name), one.default, one.metadata)
        if self.max_steps == 0:
            raise ConfigError(f"max_steps: expected 1 or more, or {NO_STEPS} for no limit, found 0")

    @property
    def per_step(self) -> int:
        """Rows of one step on one device."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps


@dataclass(frozen=True, kw_only=True)
class SftConfig(TrainConfig):
    """Settings of one SFT: a LoRA on every linear layer, the loss on the answers alone.

    The paper trains all weights with a rate of 2e-5, 3 epochs, 2,400 tokens; a LoRA wants about
    ten times that rate, and one on a small model more still (docs/training.md).
    """

    base: str = _setting("Qwen/Qwen2.5-1.5B-Instruct", "bundled, a folder, or a hub id.")
    r: int = _setting(16, "Rank of the LoRA.", 1, 1024)
    lora_alpha: int = _setting(32, "The LoRA's weight is lora_alpha / r.", 1, 4096)
    lora_dropout: float = _setting(0.0, "Dropout before the LoRA.", 0, 0.9)
    max_length: int = _setting(2400, "Tokens of prompt and answer; longer tasks are left out.", 16)
    eval_rows: int = _setting(64, "Held-out tasks for the loss at each checkpoint; 0: none.", 0)


@dataclass(frozen=True, kw_only=True)
class GrpoConfig(TrainConfig):
    """Settings of one GRPO from an SFT adapter, the paper's where nothing else is said.

    The paper's rate of 1e-6 is for all weights; a LoRA wants about ten times that.
    """

    learning_rate: float = _setting(1e-5, "Highest learning rate of AdamW.", 0, 1)
    per_device_train_batch_size: int = _setting(4, "Candidates in one pass.", 1)
    gradient_accumulation_steps: int = _setting(8, "Passes that make one step.", 1)
    num_train_epochs: float = _setting(1.0, "Passes over the tasks.", LEAST_EPOCHS, 1000)
    warmup_steps: int = _setting(0, "Steps over which the learning rate rises.", 0)
    decay: float = _setting(0.0, "Share of all steps, at the end, in which it falls to 0.", 0, 1)
    logging_steps: int = _setting(1, "Steps between two lines of the log.", 1)
    save_steps: int = _setting(25, "Steps between two checkpoints.", 1)
    max_prompt_length: int = _setting(1600, "Tokens; tasks with longer prompts are left out.", 16)
    max_completion_length: int = _setting(800, "Tokens of a candidate.", 8)
    num_generations: int = _setting(4, "Candidates of a task.", 2)
    temperature: float = _setting(1.0, "Of the candidates.", 0.01, 2)
    top_p: float = _setting(1.0, "Probability mass that they are drawn from.", 0.01, 1)
    beta: float = _setting(0.01, "Weight of the KL divergence from the SFT adapter.", 0, 10)
    epsilon: float = _setting(0.2, "Clipping of the ratio of probabilities.", 0, 1)
    num_iterations: int = _setting(1, "Steps made of one batch of candidates.", 1)
    loss_type: str = _choice("dapo", "Loss of trl", LOSSES)
    scale_rewards: str = _choice("group", "What advantages are scaled by", SCALES)
    mask_truncated_completions: bool = _setting(False, "Learn nothing from cut candidates.")
    generator: str = _choice("auto", "What writes candidates", GENERATORS)
    vllm_gpu_memory_utilization: float = _setting(0.35, "Share of the GPU for vLLM.", 0.05, 0.95)
    rater: str = _setting("knn-bayes", "Rater of quality: a name, or a file of rate --fit.")
    embedder: str = _setting(BUNDLED, "Embedder of alignment: bundled, a folder or a hub id.")
    quality: str = _choice("tiers", "Form of the quality reward", QUALITIES)
    watch_steps: int = _setting(20, "First steps, which later ones are warned against.", 1)

    def __post_init__(self) -> None:
        """Raise ConfigError also where candidates do not fill a step, or are cut off."""
        super().__post_init__()
        for name in ("save_steps", "max_steps"):
            steps = getattr(self, name)
            if steps != NO_STEPS and steps % self.num_iterations:
                raise ConfigError(
                    f"{name}: expected a multiple of num_iterations ({self.num_iterations}), for "
                    f"candidates are in no checkpoint, found {steps}"
                )
        if self.loss_type == "dr_grpo" and self.scale_rewards != "none":
            raise ConfigError(
                "scale_rewards: expected none with loss_type dr_grpo, which Unsloth would set so, "
                f"found {self.scale_rewards}"
            )
        if self.per_step % self.num_generations:
            raise ConfigError(
                "per_device_train_batch_size x gradient_accumulation_steps: expected a multiple "
                f"of num_generations ({self.num_generations}), found {self.per_step}"
            )


SMALL: Mapping[str, Any] = {
    "base": BUNDLED,
    "load_in_4bit": False,
    "gradient_checkpointing": False,
    "gradient_accumulation_steps": 1,
}
"""A CPU trains the bundled model in bf16: 4 bits would cost more time than memory saved."""
SFT_PRESETS: dict[str, Mapping[str, Any]] = {
    "24gb": {},
    "12gb": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 16},
    "cpu": {
        **SMALL,
        "learning_rate": 1.2e-3,
        "max_length": 640,
        "num_train_epochs": 2.0,
        "save_steps": 50,
        "eval_rows": 24,
    },
}
GRPO_PRESETS: dict[str, Mapping[str, Any]] = {
    "24gb": {},
    "12gb": {
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 32,
        "generator": "transformers",
    },
    "cpu": {
        **{name: value for name, value in SMALL.items() if name != "base"},
        "gradient_accumulation_steps": 2,
        "learning_rate": 5e-5,
        "max_prompt_length": 448,
        "max_completion_length": 192,
        "generator": "transformers",
    },
}
PRESETS: dict[type[TrainConfig], dict[str, Mapping[str, Any]]] = {
    SftConfig: SFT_PRESETS,
    GrpoConfig: GRPO_PRESETS,
}
NAMES = tuple(SFT_PRESETS)

Config = TypeVar("Config", bound=TrainConfig)


def with_settings(kind: type[Config], preset: str, given: Mapping[str, Any]) -> Config:
    """Return a preset's configuration with `given` over it.

    Raises ConfigError for an unknown preset or setting.
    """
    presets = PRESETS[kind]
    if preset not in presets:
        raise ConfigError(f"preset: expected one of {', '.join(presets)}, found {preset!r}")
    names = {one.name for one in fields(kind)}
    unknown = given.keys() - names
    if unknown:
        listed = ", ".join(sorted(names))
        raise ConfigError(f"{min(unknown)}: no such setting; there are preset, {listed}")
    usual = {one.name: one.default for one in fields(kind)}
    numbers = {name: _as_number(value, usual[name]) for name, value in given.items()}
    return kind(**{**presets[preset], **numbers})


def _as_number(value: Any, default: Any) -> Any:
    """Return a value as YAML meant it: it reads 4e-4 as text."""
    if not isinstance(value, str) or not isinstance(default, float):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _check(name: str, value: Any, default: Any, about: Mapping[str, Any]) -> None:
    choices, low, high = about.get("choices"), about.get("low"), about.get("high", math.inf)
    if choices and value not in choices:
        raise ConfigError(f"{name}: expected one of {', '.join(choices)}, found {value!r}")
    if not _is_like(value, default):
        wanted = "true or false" if isinstance(default, bool) else type(default).__name__
        raise ConfigError(f"{name}: expected {wanted}, found {value!r}")
    if low is not None and not low <= value <= high:
        raise ConfigError(f"{name}: expected {low:g}..{high:g}, found {value!r}")


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value is of a default's type; a whole number will do for a real one."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    return isinstance(value, int | float if isinstance(default, float) else type(default))
