"""Raters: functions from samples and their embeddings to ratings 0..5."""
