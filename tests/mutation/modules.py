"""The pure modules, each with the test files that hold it."""

BEACON = "tests/beacon_pipeline"
MODULES: dict[str, tuple[str, ...]] = {
    "beacon_pipeline.catalog.partitions": (f"{BEACON}/catalog/test_partitions.py",),
    "beacon_pipeline.execution.classify_answer": (f"{BEACON}/execution/test_classify_answer.py",),
    "beacon_pipeline.execution.decide": (
        f"{BEACON}/execution/test_decide.py",
        f"{BEACON}/reconciliation/test_reconcile.py",
    ),
    "beacon_pipeline.execution.outcomes": (f"{BEACON}/execution/test_outcomes.py",),
    "beacon_pipeline.execution.retry_policy": (f"{BEACON}/execution/test_retry_policy.py",),
    "beacon_pipeline.jobs.job_of_run": (f"{BEACON}/jobs/test_job_of_run.py",),
    "beacon_pipeline.ledger.apply_outcome": (f"{BEACON}/ledger/test_ledger_states.py",),
    "beacon_pipeline.ledger.status": (f"{BEACON}/ledger/test_ledger_states.py",),
    "beacon_pipeline.ledger.transitions": (f"{BEACON}/ledger/test_ledger_states.py",),
    "beacon_pipeline.monitoring.metrics": (f"{BEACON}/monitoring/test_metrics.py",),
    "beacon_pipeline.reconciliation.checks": (f"{BEACON}/reconciliation/test_checks.py",),
    "beacon_pipeline.reconciliation.consistency": (f"{BEACON}/reconciliation/test_consistency.py",),
    "beacon_pipeline.reconciliation.reconcile": (f"{BEACON}/reconciliation/test_reconcile.py",),
    "beacon_pipeline.reconciliation.repair_runs": (f"{BEACON}/reconciliation/test_repair_runs.py",),
    "dbt_like_checks.compile": ("tests/dbt_like_checks/test_compile.py",),
    "dbt_like_checks.generic.expectations": ("tests/dbt_like_checks/test_expectations.py",),
    "dbt_like_checks.generic.tested": ("tests/dbt_like_checks/test_tested.py",),
    "dbt_like_checks.thresholds": ("tests/dbt_like_checks/test_thresholds.py",),
    "inference.contract": ("tests/inference/test_contract.py",),
    "inference.reasoning": ("tests/inference/test_reasoning.py",),
}
