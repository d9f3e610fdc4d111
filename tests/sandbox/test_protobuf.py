import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.sandbox.protobuf import MAGIC, Undecodable, decode

# `kubectl -n x create deployment d --image=nginx --replicas=0 --port=80`, as it was sent.
DEPLOYMENT = (
    "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50ErEBChwKAWQSABoBeCIAKgAyADgAQgBaCAoDYXBwEgFkEoIBCAASCg"
    "oICgNhcHASAWQaagoaCgASABoAIgAqADIAOABCAFoICgNhcHASAWQSTBIuCgVuZ2lueBIFbmdpbngqADIKCgAQABhQ"
    "IgAqAEIAagByAIABAIgBAJABAKIBABoAMgBCAEoAUgBYAGAAaACCAQCKAQCaAQDCAQAiAgoAKAA4ABoMCAAQABgAIA"
    "AoADgAGgAiAA=="
)

# `kubectl -n x create service nodeport np --tcp=80:http --tcp=81:8081`, as it was sent.
SERVICE = (
    "azhzAAoNCgJ2MRIHU2VydmljZRKGAQoeCgJucBIAGgF4IgAqADIAOABCAFoJCgNhcHASAm5wEmAKHgoHODAtaHR0cB"
    "IDVENQGFAiCggBEAAaBGh0dHAoAAobCgc4MS04MDgxEgNUQ1AYUSIHCAAQkT8aACgAEgkKA2FwcBICbnAaACIITm9k"
    "ZVBvcnQ6AEIAUgBaAGAAaAAaAgoAGgAiAA=="
)


def test_what_kubectl_sends_is_what_it_would_have_sent_as_json() -> None:
    assert decode(base64.b64decode(DEPLOYMENT)) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "x", "labels": {"app": "d"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {
                    "containers": [
                        {"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}]}
                    ]
                },
            },
        },
    }


def test_a_target_port_is_a_number_or_a_name() -> None:
    service = decode(base64.b64decode(SERVICE))

    assert service["spec"]["ports"] == [
        {"name": "80-http", "protocol": "TCP", "port": 80, "targetPort": "http"},
        {"name": "81-8081", "protocol": "TCP", "port": 81, "targetPort": 8081},
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        MAGIC,
        MAGIC + b"\x0a\x07\x0a\x02v1\x12\x01X",  # kind X
        MAGIC + b"\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x02\x7a\x00",  # a field 15
        MAGIC + b"\x0a\xff",
    ],
)
def test_what_is_not_known_is_refused(body: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(body)


@given(st.binary(max_size=60))
def test_rubbish_is_refused_or_read_but_nothing_else_happens(body: bytes) -> None:
    with contextlib.suppress(Undecodable):
        decode(MAGIC + body)
