"""The dial of named addresses: what they resolve to, and that all come back in order."""

import socket

import pytest

from probe.addresses import Unresolvable, check_addresses, resolve
from probe.core.results import Result
from probe.core.targets import Target


def test_a_number_is_resolved_to_itself_and_a_name_to_its_addresses() -> None:
    assert [Target("10.0.0.1", 80)] == resolve(Target("10.0.0.1", 80))
    assert Target("127.0.0.1", 80) in resolve(Target("localhost", 80))


@pytest.mark.parametrize("host", ["0.0.0.0", "224.0.0.1", "a" * 300, "x..y", "nosuch.invalid"])
def test_what_nobody_may_dial_does_not_resolve(host: str) -> None:
    with pytest.raises(Unresolvable):
        resolve(Target(host, 80))


def test_addresses_are_dialed_at_once_and_answered_in_order() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        port = server.getsockname()[1]
        targets = [Target("127.0.0.1", port), Target("127.0.0.1", 1), Target("127.0.0.2", port)]
        found = check_addresses(targets * 20, 1.0)

    expected = [Result.CONNECTED, Result.REFUSED, Result.REFUSED] * 20
    assert expected == [outcome.result for outcome in found]
