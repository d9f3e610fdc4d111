"""Looks once at the pods behind the Services of a check, as far as whoever asks may."""

import asyncio
from http import HTTPStatus
from typing import Any

from probe.core import kube, pods
from probe.core.policies import NetworkPolicy
from probe.core.verdicts import Verdict
from probe.reflector import ApiError, ApiTrouble, Connection

Json = dict[str, Any]

SERVICES = 20
"""Services of a check of many whose pods are looked at, those that fail first: each is a request.
Arbitrary."""


async def look(connection: Connection, documents: list[Json]) -> list[str]:
    """Puts the pods into the documents of those Services that select some; returns warnings.

    Of one Service always, of many only where something is wrong. What the API server does not let
    us see is left out of the documents.
    """
    wanted = [d for d in documents if (d.get("spec") or {}).get("selector")]
    if len(documents) > 1:
        wanted = [d for d in wanted if Verdict(d["verdict"]) is not Verdict.HEALTHY][:SERVICES]
    answers = await asyncio.gather(*(_behind(connection, document) for document in wanted))
    return list(dict.fromkeys(warning for warning in answers if warning))


async def _behind(connection: Connection, document: Json) -> str:
    """Puts one Service's pods into its document; why it could not, "" if it could."""
    namespace, selector = document["service"]["namespace"], document["spec"]["selector"]
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    policies: tuple[NetworkPolicy, ...] = ()
    try:
        listed, _ = await connection.list(pods.PODS, namespace, labelSelector=labels)
        if Verdict(document["verdict"]) is not Verdict.HEALTHY:
            policies = await _policies(connection, namespace)
    except ApiError as refused:
        if refused.code == HTTPStatus.FORBIDDEN:
            return f"the API server forbids us to list pods in namespace {namespace}"
        return str(refused)
    except ApiTrouble as trouble:
        return str(trouble)
    pods.tell(document, listed.facts, policies)
    return ""


async def _policies(connection: Connection, namespace: str) -> tuple[NetworkPolicy, ...]:
    """The namespace's; none where we may not see them: they are beside the point mostly."""
    try:
        listed, _ = await connection.list(kube.NETWORK_POLICIES, namespace)
    except ApiError:
        return ()
    found: tuple[NetworkPolicy, ...] = listed.facts
    return found
