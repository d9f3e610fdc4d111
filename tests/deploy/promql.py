"""What a text names in PromQL: metrics with their matchers, and labels that it groups by."""

import re

METRIC = re.compile(r"\b(edgeprobe_[a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)")
GROUPED = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")


def grouped(text: str) -> set[str]:
    """The labels by which it groups or joins."""
    found = {word.strip() for group in GROUPED.findall(text) for word in group.split(",")}
    return found - {""}
