"""The distiller's training: SFT, then GRPO, on tasks with references (PAPER, Training)."""
