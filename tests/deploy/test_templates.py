"""Go's templates as far as the chart needs them; expected is what Go's own text/template prints."""

from typing import Any

import pytest

from deploy.manifests.templates import TemplateError, Templates


def rendered(text: str, values: Any = None) -> str:
    return Templates({"it": text}).render("it", {"Values": values or {}})


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("a {{ .Values.b.c }} d", {"b": {"c": 1}}, "a 1 d"),
        ("a\n  {{- .Values.b }}\n", {"b": True}, "atrue\n"),
        ("a {{ .Values.b -}}  \n c", {"b": ""}, "a c"),
        ("a {{- /* no word of it */}} b", {}, "a b"),
        ('{{ .Values.b | replace "x" "yz" }}', {"b": "x-x"}, "yz-yz"),
        ('{{ .Values.b | default "x" | quote }}', {"b": ""}, '"x"'),
        ('{{ printf "%s:%s" .Values.b (.Values.c | default "d") }}', {"b": "a", "c": ""}, "a:d"),
        ("{{ if .Values.b }}x{{ else if .Values.c }}y{{ else }}z{{ end }}", {"b": 0, "c": 1}, "y"),
        ("{{ if .Values.b }}x{{ else if .Values.c }}y{{ else }}z{{ end }}", {"b": 0, "c": 0}, "z"),
        ("{{ with .Values.b }}{{ .c }}{{ else }}none{{ end }}", {"b": {"c": "d"}}, "d"),
        ("{{ with .Values.b }}{{ .c }}{{ else }}none{{ end }}", {"b": {}}, "none"),
        ("{{ range .Values.b }}<{{ . }}>{{ end }}", {"b": ["x", "y"]}, "<x><y>"),
        ("{{ range $k, $v := .Values }}{{ $k }}={{ $v }} {{ end }}", {"b": 2, "a": 1}, "a=1 b=2 "),
        ("{{ range $v := .Values.b }}{{ $v }}{{ end }}", {"b": ["x", "y"]}, "xy"),
        ("{{ range $v := .Values.b }}{{ $.Values.c }}{{ end }}", {"b": [1, 2], "c": "d"}, "dd"),
        ("{{ $x := .Values.b }}{{ $x.c }}", {"b": {"c": "d"}}, "d"),
        ("{{ and .Values.b (not .Values.c) }}", {"b": "x", "c": ""}, "true"),
        ("{{ or .Values.b .Values.c }}", {"b": "", "c": "y"}, "y"),
        (
            "a:{{ toYaml .Values.b | nindent 2 }}",
            {"b": {"d": [1], "c": "e"}},
            "a:\n  c: e\n  d:\n  - 1",
        ),
        ('{{ index .Values "a-b" | b64enc }}', {"a-b": "key"}, "a2V5"),
        ('{{ append .Values.b "x" | uniq | join "," }}', {"b": ["x", "y"]}, "x,y"),
        ("{{ .Values.b }} {{ .Values.c }}", {"b": 1e6, "c": 100000.0}, "1e+06 100000"),
        ("{{ .Values.b }} {{ .Values.c }}", {"b": 1234567.0, "c": 0.00001}, "1.234567e+06 1e-05"),
        ("{{ .Values.b | toJson }} {{ toJson .Values.c }}", {"b": 1e6, "c": 0.5}, "1000000 0.5"),
        (
            '{{ kindIs "float64" .Values.b }} {{ kindIs "float64" .Values.c }}',
            {"b": 1.0, "c": "1"},
            "true false",
        ),
        (
            "a:{{ toYaml .Values.b | nindent 2 }}",
            {"b": {"c": [1e6, 0.5]}},
            "a:\n  c:\n  - 1000000\n  - 0.5",
        ),
        ('{{ "edgeprobe" | sha256sum | trunc 4 }}', {}, "9a6a"),
        ('{{ define "d" }}[{{ .e }}]{{ end }}{{ include "d" .Values.b }}', {"b": {"e": 1}}, "[1]"),
    ],
)
def test_it_prints_what_go_prints(template: str, values: Any, expected: str) -> None:
    assert rendered(template, values) == expected


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ .Values.b.c }}", ".Values.b.c: there is no b"),
        ('{{ fail "b is missing" }}', "b is missing"),
        ("{{ nonsense 1 }}", "there is no function nonsense here"),
        ("{{ (.Values }}", "( without )"),
        ("{{ .Values .Values }}", "what is .Values?"),
        ("{{ }}", "has nothing in it"),
        ("{{ .Values", "{{ is not closed"),
        ("{{ if .Values }}", "has no end"),
        ("{{ if .Values }}{{ else }}{{ else }}{{ end }}", "has no end"),
        ("{{ end }}", "end without a beginning"),
    ],
)
def test_what_it_cannot_render_it_says(template: str, said: str) -> None:
    with pytest.raises(TemplateError) as failed:
        rendered(template)

    assert said in str(failed.value)
