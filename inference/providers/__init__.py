"""Ways to run inference behind one protocol (`inference.contract.Provider`)."""
