"""The root of Beacon's own errors."""


class BeaconError(Exception):
    """Something that a person can put right. The text is for people: one line for each problem, with the
    thing, the place and the way out, and no secret."""
