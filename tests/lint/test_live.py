"""The cluster's objects as documents: what people wrote, not what controllers made of it."""

from pathlib import Path
from typing import cast

import pytest

from probe.apiserver.refusals import Status, api_error
from probe.core.kube import Listed, Resource
from probe.demo.manifests import deployment, manual_slice, namespace, service
from probe.lint.linting import lint_objects
from probe.lint.live import KINDS, objects
from probe.reflector import ApiError, Connection, connect
from probe.sandbox.cluster import Cluster


async def test_a_deployment_stands_for_all_that_is_made_of_it(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        made = [deployment("web"), service("web", target=8081), service("db", selector={})]
        for each in (namespace("demo-app"), *made, manual_slice("db", "0.0.0.0", 5432)):
            cluster.apply(each)
        await cluster.settled(within=20)
        cluster.write_kubeconfig(tmp_path / "k")
        connection = await connect(str(tmp_path / "k"), None, user_agent="test")
        try:
            found, warnings = await objects(connection, "demo-app")
        finally:
            await connection.close()

    assert warnings == []
    assert [(d.object, d.source) for d in found] == [
        ("Service demo-app/db", "cluster"),
        ("Service demo-app/web", "cluster"),
        ("Deployment demo-app/web", "cluster"),
        ("EndpointSlice demo-app/db-manual", "cluster"),
    ]
    errors = [f for f in lint_objects(found).findings if f.severity == "error"]
    assert [(f.rule.id, f.object, f.line) for f in errors] == [
        ("zero-address", "EndpointSlice demo-app/db-manual", 0),
        ("target-port-mismatch", "Service demo-app/web", 0),
    ]


class Refusing:
    """A connection that lists nothing, and refuses one resource with that code."""

    def __init__(self, refused: str, code: int) -> None:
        self._refused, self._code = refused, code

    async def list(self, resource: Resource, namespace: str) -> tuple[Listed, str]:
        if resource.name == self._refused:
            status = Status(self._code, "", "no")
            raise api_error(status, "list", resource, namespace, None)
        return Listed(resource.name, (), namespace), "1"


async def listed(refused: str, code: int) -> list[str]:
    _, warnings = await objects(cast(Connection, Refusing(refused, code)), "demo-app")
    return warnings


async def test_what_a_cluster_does_not_have_is_no_trouble() -> None:
    assert [await listed(kind.plural, 404) for kind in KINDS] == [[]] * len(KINDS)


async def test_without_config_maps_the_rest_is_linted_and_said() -> None:
    (warning,) = await listed("configmaps", 403)

    assert "configmaps" in warning


@pytest.mark.parametrize(
    ("plural", "code"), [("pods", 403), ("services", 403), ("configmaps", 500)]
)
async def test_without_what_selectors_match_nothing_is_said(plural: str, code: int) -> None:
    with pytest.raises(ApiError):
        await listed(plural, code)
