"""Where `probe` begins, and how it ends when a person has had enough."""

import os
import sys

INTERRUPTED = 130
"""What a shell says of a command that Ctrl-C ended: 128 and SIGINT's number."""


def main() -> None:
    """The entry point of `probe` and of `kubectl probe`."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  (closed: None)
    try:
        # Imports take most of a second, in which Ctrl-C may come as well.
        from probe.cli.commands import app
        from probe.cli.failing import printing

        with printing():
            try:
                app()
            finally:
                sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
