"""The steps of a training, of which SFT and GRPO are told alike: how many, how, and from where."""

import math
import os
from pathlib import Path
from typing import Any

from minimix.extras import need
from minimix.train import backends
from minimix.train.folder import steps_done
from minimix.train.settings import TrainConfig


def step_count(rows: int, config: TrainConfig) -> int:
    """Return how many steps a training of `rows` makes."""
    if config.max_steps > 0:
        return config.max_steps
    processes = int(os.environ.get("WORLD_SIZE", 1))
    passes = math.ceil(rows / (config.per_device_train_batch_size * processes))
    each = math.ceil(passes / config.gradient_accumulation_steps)
    return max(1, math.ceil(each * config.num_train_epochs))


def go_on(trainer: Any, model: Any, checkpoint: Path | None, steps: int) -> int:
    """Train from a checkpoint, or from the start, up to `steps`; return the steps made in all.

    A checkpoint that has them leaves its adapter as it is: the trainer would make one more.
    """
    if checkpoint and steps_done(checkpoint) >= steps:
        backends.load_weights(model, checkpoint)
        return steps_done(checkpoint)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return int(trainer.state.global_step)


def shared_arguments(output: Path, config: TrainConfig, steps: int) -> dict[str, Any]:
    """Return what SFT and GRPO tell transformers alike.

    The rate rises, stays, and falls over the last share of the steps: a run may be prolonged
    while it stays.
    """
    gpu = backends.has_gpu()
    falling = min(round(config.decay * steps), max(0, steps - config.warmup_steps))
    return {
        "output_dir": str(output),
        "seed": config.seed,
        "learning_rate": config.learning_rate,
        "per_device_train_batch_size": config.per_device_train_batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation_steps,
        "num_train_epochs": config.num_train_epochs,
        "max_steps": steps,
        "warmup_steps": config.warmup_steps,
        "lr_scheduler_type": "warmup_stable_decay",
        "lr_scheduler_kwargs": {"num_decay_steps": falling, "decay_type": "1-sqrt"},
        "optim": "adamw_torch",
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "gradient_checkpointing": config.gradient_checkpointing,
        "bf16": backends.precision() == need("torch").bfloat16,
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "logging_steps": min(config.logging_steps, steps),
        "save_steps": config.save_steps,
        "save_total_limit": config.save_total_limit,
        "report_to": config.report_to,
        "disable_tqdm": True,
    }
