"""What `minimix` and `python -m minimix` start."""

import signal


def main() -> None:
    """Run the command line; Ctrl-C while it is still being loaded ends the process, and no more."""
    heard = signal.getsignal(signal.SIGINT)
    if heard is signal.default_int_handler:  # a shell may have said to ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from minimix.cli import cli

    signal.signal(signal.SIGINT, heard)
    cli()


if __name__ == "__main__":
    main()
