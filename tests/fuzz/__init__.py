"""What enters minimix, fuzzed: by `python -m tests.fuzz`, and for seconds in every test run."""
