"""A small Modal app for the tests of the loopback server."""
