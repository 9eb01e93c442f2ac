"""`python -m minimix` does what `minimix` does."""

from minimix.cli import cli

if __name__ == "__main__":
    cli()
