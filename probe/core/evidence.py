"""All that is known of one Service port at one moment: what a verdict is read off."""

from dataclasses import dataclass, field

from probe.core.backing import NOTHING, Backing
from probe.core.losses import Lost
from probe.core.results import Result


@dataclass(frozen=True, slots=True)
class Candidate:
    """A declared port, dialed because every endpoint refused the target port."""

    port: int
    accepted: int
    dialed: int
    eligible: bool

    @property
    def answers(self) -> bool:
        return 0 < self.dialed == self.accepted

    @property
    def accepts(self) -> bool:
        return self.eligible and self.answers


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one Service port at one moment. Counts are of endpoints.

    `expected` are those this node should have an opinion on, `dialed` those freshly dialed; `down`
    holds the last result of each that is down, `outrun` are edges that were dialed before another
    one turned, `failing_new` are those that failed before they had
    settled, `unsteady` those that answer at present but fail again and again. `vip_down` holds the
    result of each ClusterIP that is down although it should connect, and `vip_failing` for how many
    seconds its dials have done nothing else, from the first to the last; `vip_late` is as
    `vip_down`, of those that kube-proxy may have to follow yet. `vips` is how many should connect,
    `vip_faults` how many of these we could not dial ourselves. `proxy` is why kube-proxy is to
    blame for that although not all endpoints are dialed from here. `drain_failures` counts recent
    ClusterIP failures laid to terminating or just-removed endpoints. `stale_seconds` is for how
    long the API server has been away, if that makes failures doubtful. `usable` are all endpoints
    that take traffic, `undialed` those outside of what we may dial, `elsewhere` those that other
    daemons dial, not we. `unresolved` tells that ready pods are there and none of them has the
    target port by that name. `node` is ours; `cause` what the failing endpoints share with those of
    other Services ("node/NAME") and `shared` the sentence that says so. `mesh` is on the path to
    the pods; `policies` are the NetworkPolicies that select the pods and leave us out, `near` how
    many of those that are up no policy keeps from us, since they are on the node whose network we
    are on. Where the port has two address families, `family` is the one of everything that fails,
    `vip_family` the one of the only ClusterIP that leads somewhere, `empty` that of the one that
    leads nowhere and `no_way` the one for which this node has no way out, and why: nothing of it
    counts. `lost` is the same of one that had a way out. While `emptying` the slices may yet
    follow.
    """

    target_port: str = ""
    usable: int = 0
    expected: int = 0
    dialed: int = 0
    up: int = 0
    down: tuple[Result, ...] = ()
    undecided: int = 0
    outrun: int = 0
    settling: int = 0
    failing_new: int = 0
    unsteady: int = 0
    vips: int = 0
    vips_dialed: int = 0
    vip_down: tuple[Result, ...] = ()
    vip_late: tuple[Result, ...] = ()
    vip_failing: float = 0.0
    proxy: str = ""
    candidates: tuple[Candidate, ...] = ()
    candidates_pending: bool = False
    invalid: tuple[str, ...] = ()
    local_faults: int = 0
    local_fault_detail: str = ""
    vip_faults: int = 0
    stale_seconds: float | None = None
    drain_failures: int = 0
    new: bool = False
    backing: Backing = NOTHING
    unresolved: bool = False
    has_selector: bool = True
    lossy: Lost | None = None
    undialed: int = 0
    elsewhere: int = 0
    details: tuple[str, ...] = field(default=())
    node: str = ""
    cause: str = ""
    shared: str = ""
    mesh: str = ""
    policies: tuple[str, ...] = ()
    near: int = 0
    family: str = ""
    vip_family: str = ""
    empty: str = ""
    emptying: bool = False
    no_way: str = ""
    lost: str = ""

    @property
    def needed(self) -> int:
        """Dialed endpoints without which "all" means nothing: min(2, n)."""
        return min(2, self.expected)

    @property
    def unseen(self) -> int:
        """Endpoints behind the ClusterIP of which this node knows nothing itself."""
        return self.undialed + self.elsewhere

    @property
    def pending(self) -> bool:
        """Whether dials under way will decide what this is."""
        return self.candidates_pending or self.undecided > 0 or self.outrun > 0

    @property
    def all_down(self) -> bool:
        """Whether everything fails. Where others dial most of the endpoints, one or two that we
        dial are not all: then the ClusterIP, which leads to every one, has to fail as well."""
        if self.unseen and (self.dialed < 2 or len(self.vip_down) < self.vips):
            return False
        return bool(self.down) and len(self.down) == self.dialed >= max(1, self.needed)

    @property
    def kept_out(self) -> bool:
        """Whether all fails that NetworkPolicies keep from us. Where the pods of our own node admit
        us, those of the others, or the ClusterIP that leads to them, are all that can."""
        if not self.policies or self.all_down:
            return bool(self.policies)
        others = bool(self.down) or (bool(self.vip_down) and self.unseen > 0)
        return others and 0 < self.near == self.dialed - len(self.down)

    def all_are(self, *results: Result) -> bool:
        return self.all_down and all(result in results for result in self.down)

    @property
    def accepting(self) -> tuple[Candidate, ...]:
        return tuple(c for c in self.candidates if c.accepts)
