"""Which documents belong together, and who is behind a Service."""

from textwrap import dedent

from probe.lint.documents import Document, objects
from probe.lint.manifests import Manifests
from probe.lint.parsing import Parser
from probe.lint.sets import distance, sets
from probe.lint.sources import Source


def document(source: str, kind: str = "Service", name: str = "web") -> Document:
    text = f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n"
    (parsed,) = Parser().parse(text)
    (found,) = objects(Source(source, text), 0, parsed)
    return found


def grouped(*documents: Document) -> list[list[str]]:
    return [[f"{d.source}:{d.name}" for d in each] for each in sets(documents)]


def test_a_directory_is_one_set() -> None:
    assert grouped(
        document("k8s/services/web.yaml"),
        document("k8s/deployments/web.yaml", "Deployment"),
        document("k8s/all.yaml", name="other"),
    ) == [["k8s/services/web.yaml:web", "k8s/deployments/web.yaml:web", "k8s/all.yaml:other"]]


def test_it_falls_apart_where_an_object_stands_twice() -> None:
    assert grouped(
        document("base/web.yaml"),
        document("base/db.yaml", name="db"),
        document("overlays/prod/web.yaml"),
        document("overlays/test/web.yaml"),
        document("overlays/test/more/x.yaml", name="x"),
        document("README.yaml", name="readme"),
    ) == [
        ["base/web.yaml:web", "base/db.yaml:db"],
        ["overlays/prod/web.yaml:web"],
        ["overlays/test/web.yaml:web", "overlays/test/more/x.yaml:x"],
        ["README.yaml:readme"],
    ]


def test_so_do_files_side_by_side() -> None:
    assert grouped(document("a.yaml"), document("b.yaml"), document("c.yaml", name="c")) == [
        ["a.yaml:web"],
        ["b.yaml:web"],
        ["c.yaml:c"],
    ]


def test_kinds_that_are_often_copied_do_not_part_anything() -> None:
    assert len(grouped(document("a/n.yaml", "Namespace"), document("b/n.yaml", "Namespace"))) == 1


def test_one_text_is_one_set_whatever_it_holds() -> None:
    assert grouped(document("-"), document("-")) == [["-:web", "-:web"]]


def test_how_far_files_are_apart() -> None:
    here = document("a/b/one.yaml")
    assert distance(here, document("a/b/one.yaml")) == 0
    assert distance(here, document("a/b/two.yaml")) == 1
    assert distance(here, document("a/two.yaml")) == 2
    assert distance(here, document("a/c/two.yaml")) == 3


def test_what_controllers_made_of_others_is_no_workload_of_its_own() -> None:
    text = dedent("""\
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a}]}}}
        ---
        apiVersion: apps/v1
        kind: ReplicaSet
        metadata:
          name: web-1
          ownerReferences: [{kind: Deployment, name: web, controller: true}]
        spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a}]}}}
        ---
        apiVersion: v1
        kind: Pod
        metadata:
          name: other
          labels: {app: web}
          ownerReferences: [{kind: ReplicaSet, name: not-here, controller: true}]
        spec: {containers: [{name: a}]}
        """)
    source = Source("-", text)
    parsed = enumerate(Parser().parse(text))
    (found,) = Manifests(d for i, p in parsed for d in objects(source, i, p)).sets
    assert [w.words for w in found.workloads] == ["Deployment web", "Pod other"]
