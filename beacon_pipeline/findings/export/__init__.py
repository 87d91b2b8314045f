"""The export: a folder or zip file from which anyone can read, check and recompute every figure."""
