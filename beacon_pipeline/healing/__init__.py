"""Healing: find what is wrong on record, and request the runs that put it right."""
