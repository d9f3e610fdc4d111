"""One meaning a colour, on every dashboard: red fails, orange fails in part, green answers,
purple is the prober's own fault, blue and grey accuse nobody."""

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import dashboard

from probe.core.health import State
from probe.core.results import Result
from probe.core.rollouts import Phase
from probe.core.verdicts import Verdict

GOOD, WARNING, BAD, OWN, MUTED = "green", "orange", "red", "purple", "gray"

VERDICTS = {
    Verdict.PROBE_FAULT: OWN,
    Verdict.UNKNOWN: MUTED,
    Verdict.INVALID_TARGET: "semi-dark-orange",
    Verdict.NODE_PATH: "dark-red",
    Verdict.NO_ENDPOINTS: "semi-dark-red",
    Verdict.DRAIN_RACE: WARNING,
    Verdict.PORT_MISMATCH: BAD,
    Verdict.NOT_LISTENING: "light-red",
    Verdict.DENIED: "blue",
    Verdict.BLACKHOLED: "#8F0000",
    Verdict.ENDPOINT_DOWN: "dark-orange",
    Verdict.PROXY_STALE: "#C4162A",
    Verdict.LOSSY: "yellow",
    Verdict.MASKED: "light-blue",
    Verdict.HEALTHY: GOOD,
}
RESULTS = {
    Result.CONNECTED: GOOD,
    Result.REFUSED: BAD,
    Result.REJECTED: "blue",
    Result.TIMEOUT: "#8F0000",
    Result.UNREACHABLE: "dark-orange",
    Result.RESET: "light-red",
    Result.LOCAL_FAULT: OWN,
    Result.INVALID_TARGET: "semi-dark-orange",
}
STATES = {
    State.UP: GOOD,
    State.DOWN: BAD,
    State.FAILING: WARNING,
    State.UNKNOWN: MUTED,
    State.EXCLUDED: "light-blue",
}
PHASES = {
    Phase.TERMINATING: "light-blue",
    Phase.ROLLOUT: "blue",
    Phase.SERVICE_EDIT: "yellow",
    Phase.SETTLING: MUTED,
    Phase.STEADY: BAD,
}
"""Of failed dials: in a steady phase nothing excuses them."""

Step = tuple[float, str]
"""From which value on (inclusive) which colour."""


def thresholds(*steps: Step, base: str = GOOD) -> ThresholdsConfig:
    """Absolute ones, in the panel's unit and rising; `base` is the colour below the first."""
    first = dashboard.Threshold(value=None, color=base)
    return (
        ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([first, *(dashboard.Threshold(value=at, color=color) for at, color in steps)])
    )
