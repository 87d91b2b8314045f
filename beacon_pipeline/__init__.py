"""The Dagster code location of Beacon."""
