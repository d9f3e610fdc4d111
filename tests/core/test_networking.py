import pytest

from probe.core.networking import Part, part


@pytest.mark.parametrize(
    ("name", "labels", "image", "expected"),
    [
        ("kube-proxy", {}, "registry.k8s.io/kube-proxy:v1.36.2", Part.PROXY),
        ("kube-proxy-eu", {"k8s-app": "kube-proxy"}, "", Part.PROXY),
        ("net", {}, "quay.io:443/cilium/cilium:v1.17@sha256:abc", Part.NETWORK),
        ("kube-flannel-ds", {"app": "flannel"}, "flannel:1", Part.NETWORK),
        ("agent", {"app.kubernetes.io/name": "antrea-agent"}, "antrea:1", Part.NETWORK),
        ("cilium-envoy", {"k8s-app": "cilium-envoy"}, "quay.io/cilium/cilium-envoy:1", None),
        ("node-exporter", {"app": "node-exporter"}, "prom/node-exporter", None),
    ],
)
def test_what_carries_the_traffic_is_known_by_its_name_its_label_or_its_image(
    name: str, labels: dict[str, str], image: str, expected: Part | None
) -> None:
    assert part(name, labels.items(), (image,)) is expected
