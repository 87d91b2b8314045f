"""Sensors: what watches the record, and acts."""
