"""What the command line says of how much to measure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` is one window of daemon and paced; `apart` that we are root in a network
    namespace of our own."""

    rounds: int = 7
    seconds: float = 60.0
    minutes: float = 10.0
    apart: bool = False
