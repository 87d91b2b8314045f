"""A study from its file to its findings: check, register, ask look by look, and say what stands."""
