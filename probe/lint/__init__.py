"""Manifests -> findings: the incidents of a running cluster, seen in its files.

`reading` finds the texts, `parsing` and `documents` make objects of them that know where each
value stands, `rules` look at them all together, `linting` ties these.
"""
