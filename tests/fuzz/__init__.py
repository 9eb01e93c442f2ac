"""What enters minimix, fuzzed: `targets` are run by `python -m tests.fuzz` and by every test run."""
