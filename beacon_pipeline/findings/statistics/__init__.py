"""Estimates, intervals and tests: pure functions over arrays of numbers. Nothing here knows a study."""
