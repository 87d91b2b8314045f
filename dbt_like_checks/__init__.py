"""Data tests declared in YAML, compiled to SQL, run from the shell or as Dagster asset checks."""
