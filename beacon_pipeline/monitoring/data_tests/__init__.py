"""The data tests on the ledger itself: YAML and SQL beside this file, run by `dbt_like_checks`.

They look at the database as it is, whatever wrote it, so they find what no code of ours would write: a
row restored from elsewhere, edited by hand, or left by an older version. What needs the catalog or
arithmetic on time is a generic test of our own, in `generic.py`. A catalog folder may hold more tests,
in its subfolder `checks`.
"""
