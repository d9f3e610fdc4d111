"""Switches for what goes wrong in a network namespace: a pod's, or a node's for the pods behind it.

Only new TCP connections are met, as a policy would; `source` limits a fault to dials from there,
so that the kubelet's probes may pass, as they do under a NetworkPolicy. It says which family is
meant as well: `::/0` is all of IPv6. Of several faults in one namespace the first one decides.
"""

import contextlib
import os
import signal

from tests.cluster.network import inside_of
from tests.namespaces import inside, links, run

CHAIN = "PROBE-FAULTS"
HOOKS = ("INPUT", "FORWARD")

DROP = "-j DROP"
RESET = "-j REJECT --reject-with tcp-reset"
REJECT = "-j REJECT --reject-with"


class Faults:
    """Those of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def drop(self, source: str = "0.0.0.0/0") -> None:
        """Dials time out."""
        self._rule(source, DROP)

    def reset(self, source: str = "0.0.0.0/0") -> None:
        """Dials meet a RST."""
        self._rule(source, RESET)

    def reject(self, source: str = "0.0.0.0/0", *, by: str = "icmp-admin-prohibited") -> None:
        """Dials meet an ICMP message: one that iptables(8) knows as --reject-with."""
        self._rule(source, f"{REJECT} {by}")

    def link_down(self) -> None:
        """Pulls a pod's cable, for good: its routes go, and the node's end loses the carrier."""
        links(self.namespace, ("link set eth0 down",))

    def freeze(self) -> None:
        """Stops every process inside; the kernel still completes handshakes for them."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def heal(self) -> None:
        """Ends every drop, reset and reject."""
        for tool in ("iptables", "ip6tables"):
            with inside(self.namespace), contextlib.suppress(RuntimeError):  # there was none
                run(tool, "-w", "-F", CHAIN)

    def _rule(self, source: str, target: str) -> None:
        tool = "ip6tables" if ":" in source else "iptables"
        with inside(self.namespace):
            with contextlib.suppress(RuntimeError):  # it is there already
                run(tool, "-w", "-N", CHAIN)
                for hook in HOOKS:
                    run(tool, "-w", "-I", hook, "-j", CHAIN)
            run(*f"{tool} -w -A {CHAIN} -p tcp --syn -s {source} {target}".split())

    def _signal(self, number: int) -> None:
        for pid in inside_of(self.namespace):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
