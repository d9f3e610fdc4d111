"""Patches that a Kustomization has in it, against a base that they change."""

import pytest

from tests.lint.rules.manifest import PROBED, mismatch, service, workload


@pytest.mark.parametrize(
    ("patches", "expected"),
    [
        ("[{target: {kind: Deployment, name: web}, patch: '[{value: 9000}]'}]", []),
        ("[{target: {kind: Deployment, name: web}, patch: '[{value: 3}]'}]", [("warning", False)]),
        ("[{target: {kind: Deployment, name: web}, path: p.yaml}]", [("warning", False)]),
        ("[{target: {kind: Service, name: web}, path: p.yaml}]", [("warning", False)]),
        ("[{target: {kind: Deployment, name: other}, path: p.yaml}]", [("error", True)]),
        ("[{target: {kind: Deployment}, patch: '[{value: 3}]'}]", [("error", True)]),
        ("[{target: {name: 'w.*'}, patch: '[{value: 9000}]'}]", []),
        ("[{patch: '{kind: Deployment, metadata: {name: web}, x: 9000}'}]", []),
        ("[{patch: '{kind: Deployment, metadata: {name: web}}'}]", [("warning", False)]),
        ("[{patch: '{'}]", [("error", True)]),
        ("[{path: p.yaml}]", [("error", True)]),
    ],
)
def test_patches_that_a_kustomization_has_in_it_count(
    patches: str, expected: list[tuple[str, bool]]
) -> None:
    head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    base = service("{port: 80, targetPort: 9000}") + workload(PROBED)
    for text in (f"{head}patches: {patches}", f"patches: {patches}"):
        assert mismatch(base__all=base, over__kustomization=text) == expected
    old = f"{head}patchesJson6902: {patches}"
    assert mismatch(base__all=base, over__kustomization=old) == expected


def test_so_do_strategic_merge_patches_in_it() -> None:
    patch = "kind: Deployment\n    metadata: {name: web}\n    x: 9000\n"
    base = service("{port: 80, targetPort: 9000}") + workload(PROBED)
    text = f"patchesStrategicMerge:\n- other.yaml\n- |\n    {patch}"
    assert mismatch(base__all=base, kustomization=text) == []
