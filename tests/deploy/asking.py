"""Asks Prometheus everything that the dashboards ask, over what was played."""

import math
from collections.abc import Iterable
from typing import Any

from tests.deploy.grafana import NAMES, Question, choices, filled, questions
from tests.deploy.stack import EVERY, Stack


async def without_answer(
    stack: Stack, begun: float, moments: Iterable[float], chosen: Iterable[dict[str, str]]
) -> list[str]:
    """The queries of all dashboards that give nothing, or not the labels that are shown.

    What is asked as of now is asked as of each of the Unix times `moments`, what is asked over
    time from `begun` to the last of them; each with each of these choices.
    """
    asked = [*moments], [*chosen]
    found = [question for name in NAMES for question in questions(name)]
    return [str(each) for each in found if not await _answered(stack, each, begun, *asked)]


async def _answered(
    stack: Stack,
    question: Question,
    begun: float,
    moments: list[float],
    chosen: list[dict[str, str]],
) -> bool:
    for choice in chosen:
        expr = question.asked(math.ceil(moments[-1] - begun), EVERY, **choice)
        if question.instant:
            answers = [await stack.query(expr, moment) for moment in moments]
        else:
            # A step more: the last scrape lies behind the last step.
            answers = [await stack.course(expr, begun, moments[-1] + EVERY)]
        if any(_tells(series, question.labels) for series in answers):
            return True
    return False


def _tells(answer: list[dict[str, Any]], labels: frozenset[str]) -> bool:
    """Whether there are numbers in it, and some series has all these labels."""
    return any(
        labels <= set(series["metric"])
        and any(math.isfinite(float(value)) for _, value in _samples(series))
        for series in answer
    )


def _samples(series: dict[str, Any]) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = series.get("values") or [series["value"]]
    return found


async def choosable(stack: Stack, **chosen: str) -> dict[str, set[str]]:
    """What each variable of any dashboard offers."""
    found: dict[str, set[str]] = {}
    for name in NAMES:
        for variable, series, label in choices(name):
            offered = await stack.values(label, filled(series, chosen))
            found.setdefault(variable, set()).update(offered)
            assert offered, (name, variable)
    return found
