"""Telling a person when the record is not as it should be, once, and once more when it is again.

`grouping` decides (pure), `sources/` observes, `messages` words it, `delivery`
sends it through Apprise, `state` keeps what must outlive a process, and `tick` is one round of
all of them: what the sensor and `beacon alerts` call.
"""
