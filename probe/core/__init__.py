"""The part of probe that only computes.

No I/O, no clock, no logging, no randomness, no third-party import: time is an argument, chance
is a hash. Whatever is here can be tested with plain values; whatever cannot, lives beside it.
"""
