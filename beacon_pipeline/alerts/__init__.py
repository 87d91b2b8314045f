"""Telling a person when the record is not as it should be, once, and once more when it is again.

`incidents` decides (pure), `runs`, `ticks` and `record` observe, `messages` words it, `delivery`
sends it through Apprise, `memory` keeps what must outlive a process, and `watch` is one round of
all of them: what the sensor and `beacon alerts` call.
"""
