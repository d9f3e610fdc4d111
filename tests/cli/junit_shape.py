"""The shape of Jenkins' junit-10.xsd, as far as we use it."""

from xml.etree.ElementTree import Element, fromstring

SHAPE: dict[str, tuple[set[str], set[str]]] = {
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
        {"testcase"},
    ),
    "testcase": ({"name", "classname", "time"}, {"failure", "error", "skipped"}),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
    "skipped": ({"message"}, set()),
}
"""Attributes that we give and children that there may be; junit-10.xsd admits each."""


def shaped(text: str) -> Element:
    """The parsed document, which has that shape."""
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    root = fromstring(text)
    for element in root.iter():
        attributes, children = SHAPE[element.tag]
        assert set(element.attrib) == attributes
        assert {child.tag for child in element} <= children
    for tag, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert root.attrib[count] == str(len(list(root.iter(tag))))
    assert root.attrib["tests"] == str(len(root))
    return root
