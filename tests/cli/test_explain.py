"""`probe explain`: the verdicts for people, in every form."""

import pytest

from probe.core.explanations import markdown
from probe.core.verdicts import Verdict
from tests.running import probe, unread


async def test_all_verdicts_are_told_in_their_order() -> None:
    found = await probe("explain")

    assert (found.code, found.err) == (0, "")
    rows = [line.split() for line in found.out.splitlines()]
    named = [row[0] for row in rows if row and row[0] in set(Verdict)]
    assert named == [str(verdict) for verdict in Verdict]
    assert ["port_mismatch", "1", "every"] in [row[:3] for row in rows]


@pytest.mark.parametrize("arguments", [(), ("node_path",), ("-o", "json")])
async def test_a_reader_that_leaves_is_told_as_everywhere(arguments: tuple[str, ...]) -> None:
    left = await unread("explain", *arguments)

    assert (left.code, left.err) == (141, "")


@pytest.mark.parametrize(
    "name", ["port_mismatch", "port-mismatch", "PORT_MISMATCH", "EdgeprobePortMismatch"]
)
async def test_one_verdict_is_told_with_causes_and_the_next_step(name: str) -> None:
    found = await probe("explain", name)

    assert found.code == 0
    assert found.out.startswith("port_mismatch: every endpoint refuses")
    assert "  - the Service's targetPort was edited, the container's port was not\n" in found.out
    assert "kubectl patch service NAME -n NAMESPACE" in found.out
    assert found.out.endswith("probe check ends with 1\n")


async def test_the_changes_that_a_verdict_is_blamed_on_are_told_the_likeliest_first() -> None:
    lines = (await probe("explain", "port_mismatch")).out.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("Changes before it"))
    assert lines[begin + 1].startswith("  140  service_edit (a port): dials go to another")
    assert lines[begin + 2].startswith("  130  rollout (the ports that the containers declare): ")

    healthy = (await probe("explain", "healthy")).out
    assert "Changes" not in healthy


async def test_json_is_one_document() -> None:
    every = (await probe("explain", "-o", "json")).document
    one = (await probe("explain", "denied", "-o", "json")).document

    assert [each["verdict"] for each in every["verdicts"]] == list(Verdict)
    assert one in every["verdicts"]
    told = {"verdict", "meaning", "detail", "causes", "suspects", "next_step", "exit_code"}
    assert set(one) == told
    assert one["suspects"][0] == {
        "change": "network_policy",
        "aspect": "who may dial the pods",
        "points": 130,
        "why": "who is left out is dropped or rejected; by some with a RST (OVN's reject ACLs)",
    }
    assert one["exit_code"] == 3


async def test_markdown_is_the_readme_s_table() -> None:
    assert (await probe("explain", "-o", "markdown")).out == markdown() + "\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "probe: there is no verdict 'nonsense': one of probe_fault, unknown, "),
        (
            ("timeout",),
            "probe: timeout is what one dial met; a verdict is what all of them mean: one",
        ),
        (("EdgeprobeProberAbsent",), "probe: there is no verdict 'EdgeprobeProberAbsent': one of "),
        (("denied", "-o", "markdown"), "leave the VERDICT out"),
        (("-o", "xml"), "'xml' is not one of 'table', 'json', 'markdown'"),
    ],
)
async def test_wrong_usage_says_what_is_wrong(arguments: tuple[str, ...], said: str) -> None:
    found = await probe("explain", *arguments)

    assert (found.code, found.out) == (2, "")
    assert said in found.err
