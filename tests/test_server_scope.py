"""What the API is asked of: a time, a namespace, a Service, a workload."""

import json

import pytest

from tests.serving import Fixed, asked, serving


@pytest.mark.parametrize("path", ["/api/v1/changes", "/api/v1/incidents", "/api/v1/rollouts"])
async def test_history_is_told_of_a_time_and_a_service_if_asked(path: str) -> None:
    answers = Fixed()
    async with serving(answers) as session:
        await asked(session, f"{path}?since=60&namespace=shop&service=web")
        await asked(session, path)

    assert answers.scopes == [(60.0, "shop", "web"), (None, "", "")]


@pytest.mark.parametrize("kind", ["Deployment", "deployment", "StatefulSet", "DaemonSet"])
async def test_rollouts_are_told_of_a_workload_if_asked(kind: str) -> None:
    async with serving(Fixed()) as session:
        _, _, body = await asked(session, f"/api/v1/rollouts?workload={kind}/web")

    (found,) = json.loads(body)["rollouts"]
    assert [word.lower() for word in found["of"]] == [kind.lower(), "web"]
    assert found["of"][0] != kind.lower()


@pytest.mark.parametrize("workload", ["web", "Pod/web", "Deployment/", ""])
async def test_what_is_no_workload_is_refused_with_what_to_write(workload: str) -> None:
    async with serving(Fixed()) as session:
        status, _, body = await asked(session, f"/api/v1/rollouts?workload={workload}")

    assert status == 400
    assert json.loads(body) == {
        "error": f"workload={workload}: must be a kind and a name, such as Deployment/web"
    }


@pytest.mark.parametrize("since", ["soon", "-1", "nan", "inf", ""])
async def test_a_time_that_is_none_is_refused_with_what_to_write(since: str) -> None:
    async with serving(Fixed()) as session:
        status, kind, body = await asked(session, f"/api/v1/incidents?since={since}")

    assert (status, kind) == (400, "application/json")
    assert json.loads(body) == {
        "error": f"since={since}: must be a number of seconds, such as since=3600"
    }
