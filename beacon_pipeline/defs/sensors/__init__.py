"""The sensors of the code location. Thin: they read, call one function, and say what it did."""
