from probe.core import wire
from probe.core.labels import Labels
from probe.core.meshes import Wish
from probe.core.namespaces import Namespace, labels_of, namespace


def test_a_namespace_keeps_its_labels_and_what_it_wishes_of_meshes() -> None:
    meta = wire.Meta(
        name="shop",
        labels={"team": "a", "istio-injection": "enabled"},
        annotations={"linkerd.io/inject": "disabled"},
    )
    found = namespace(wire.Namespace(meta))

    assert (found.namespace, found.name) == ("", "shop")
    assert found.labels == (("istio-injection", "enabled"), ("team", "a"))
    assert found.mesh == (("istio", Wish.IN), ("linkerd", Wish.OUT))
    assert namespace(wire.Namespace(wire.Meta(name="plain"))) == Namespace("plain")


def test_of_a_namespace_that_nobody_told_the_name_is_known_all_the_same() -> None:
    name = {"kubernetes.io/metadata.name": "shop"}

    assert labels_of("shop", None) == Labels(name, complete=False)
    assert labels_of("shop", Namespace("shop", (("a", "1"),))) == Labels({**name, "a": "1"})
