"""Worse versions of a good sample: lost, blurred, misspelt and noisy, down to ruined."""
