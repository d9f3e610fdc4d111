"""Hypothesis for the core: enough examples to find something, few enough to run on every push."""

from hypothesis import settings

settings.register_profile("core", max_examples=60, deadline=None)
settings.load_profile("core")
