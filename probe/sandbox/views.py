"""The forms in which clients see stored objects: as they are, as a Scale, as another API's.

The store keeps one object; a client that asks for it through a subresource or another group reads
and writes its own form of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from probe.sandbox import events, scaling
from probe.sandbox.asking import Target
from probe.sandbox.resources import find

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """`asked` is what the client named and `target` what is stored for it.

    `show` gives the client's form of a stored object, `back` the stored object with what the
    client wrote in its form.
    """

    asked: Target
    target: Target
    show: Callable[[Obj], Obj]
    back: Callable[[Obj, Obj], Obj]


def view_of(asked: Target) -> View:
    if asked.subresource == "scale":
        return View(asked, asked, scaling.scale_of, scaling.rescaled)
    if asked.resource.group == "events.k8s.io" and (core := find("", "v1", "events")):
        stored = replace(asked, resource=core)
        return View(asked, stored, events.as_new, lambda _, seen: events.as_core(seen))
    kind = {"kind": asked.resource.kind, "apiVersion": asked.resource.api_version}

    def show(obj: Obj) -> Obj:
        return {**kind, **obj}  # controllers may store objects that do not say their kind

    return View(asked, asked, show, lambda _, seen: seen)
