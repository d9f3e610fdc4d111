"""The rules: one file for each theme, one function for each rule."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from probe.lint.findings import Finding, Rule
from probe.lint.manifests import Manifests
from probe.lint.rules import addresses, drain, names, ports, probes, routes, selectors


class Check(NamedTuple):
    """A rule, and the function that looks for it."""

    rule: Rule
    find: Callable[[Manifests], Iterable[Finding]]


RULES: tuple[Check, ...] = (
    Check(ports.MISMATCH, ports.mismatches),
    Check(ports.NAME, ports.names),
    Check(ports.MIXED, ports.mixed),
    Check(selectors.NOTHING, selectors.nothing),
    Check(probes.NAME, probes.names),
    Check(probes.NUMBER, probes.numbers),
    Check(routes.PORT, routes.ports),
    Check(routes.SERVICE, routes.services),
    Check(addresses.ZERO, addresses.zeros),
    Check(addresses.PORT, addresses.ports),
    Check(names.SERVICE, names.services),
    Check(names.PORT, names.ports),
    Check(drain.READINESS, drain.readiness),
    Check(drain.DRAIN, drain.drain),
)
