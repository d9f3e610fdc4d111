"""The kubelet stand-in's side of a pod's network: what a CNI plugin would do, by ip(8).

As the ptp plugin does it: a veth, a /32 in the pod, and on the node a route to it. In IPv6 the two
ends find each other by link-local addresses, and no address is tested for duplicates, which takes
a second.
"""

import asyncio
import contextlib
import ipaddress
import itertools
import json

from tests.cluster.settings import Settings

HERE, THERE = "fe80::1", "fe80::2"
"""The node's end of a veth, and the pod's."""


class PodNetwork:
    """Addresses and namespaces for the pods of one node, whose namespace we are in."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.prefix
        self._gateway = settings.gateway
        # In turn, as host-local gives them: an address is not used again soon.
        hosts = [str(host) for host in ipaddress.ip_network(settings.pods).hosts()]
        self._turn = itertools.cycle(host for host in hosts if host != self._gateway)
        self._used: set[str] = set()
        self._first = ipaddress.ip_network(settings.pods)[0]
        self._first6 = ipaddress.ip_network(settings.pods6)[0]

    def namespace(self, uid: str) -> str:
        return f"{self._prefix}-{uid[:8]}"

    async def clear(self) -> None:
        """Cuts the pods of a kubelet before us off, so that their addresses are free."""
        for link in json.loads(await _ip("-j", "link", "show", "type", "veth")):
            if link["ifname"] != "eth0":
                await _ip("link", "del", link["ifname"])

    async def add(self, uid: str) -> tuple[str, str]:
        """Makes the pod's namespace; its addresses in IPv4 and IPv6."""
        address = next(host for host in self._turn if host not in self._used)
        self._used.add(address)
        address6 = self._in_ipv6(address)
        name, veth = self.namespace(uid), f"v{uid[:8]}"
        await self._remove(name)  # of a kubelet before us
        await _ip("netns", "add", name)
        await _ip(
            *("-batch", "-"),
            given=f"""
                link add {veth} type veth peer name eth0 netns {name}
                link set {veth} addrgenmode none
                addr add {HERE}/64 dev {veth} nodad
                link set {veth} up
                route add {address}/32 dev {veth} src {self._gateway}
                route add {address6}/128 dev {veth}
            """,
        )
        await _ip(
            *("-n", name, "-batch", "-"),
            given=f"""
                link set lo up
                link set eth0 addrgenmode none
                addr add {address}/32 dev eth0
                addr add {address6}/128 dev eth0 nodad
                addr add {THERE}/64 dev eth0 nodad
                link set eth0 up
                route add {self._gateway} dev eth0
                route add default via {self._gateway}
                route add default via {HERE} dev eth0
            """,
        )
        return address, address6

    async def remove(self, uid: str, address: str) -> None:
        """What runs in it should have ended."""
        await self._remove(self.namespace(uid), f"v{uid[:8]}")
        self._used.discard(address)

    def _in_ipv6(self, address: str) -> str:
        """That of the same number in the node's range."""
        return str(self._first6 + (int(ipaddress.ip_address(address)) - int(self._first)))

    async def _remove(self, name: str, veth: str = "") -> None:
        with contextlib.suppress(OSError):
            if veth:  # the pair outlives its namespace for a moment
                await _ip("link", "del", veth)
        with contextlib.suppress(OSError):
            await _ip("netns", "del", name)


async def _ip(*arguments: str, given: str = "") -> str:
    """What it printed. Raises OSError with its complaint."""
    process = await asyncio.create_subprocess_exec(
        *("ip", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complaint = await process.communicate(given.encode())
    if process.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {complaint.decode().strip()}")
    return printed.decode()
