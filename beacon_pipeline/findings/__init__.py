"""What the answers say.

- What is read: `subject` (a job or a study), `rows`, `frames`, `versions`.
- What is shown without any test: `compare`, `likeness`, `word_diff`, `summary`, `shown`.
- What is claimed: `sides` and `outcomes` of a claim, its estimate in `contrasts` by `statistics/`, then
  `evaluate` to a `finding`, its `attribution`, `elsewhere` (other error rates), `replication`; before asking,
  `power`.
- What is given away: `page/` (with `packed`), `export/`. A model that labels: `judge`.

Nothing below this room imports pandas.
"""
