"""The pure modules, each with the test files that hold it."""

BEACON = "tests/beacon_pipeline"
CATALOG, EXECUTION, JOBS = f"{BEACON}/catalog", f"{BEACON}/execution", f"{BEACON}/jobs"
LEDGER, LABELS, FINDINGS = f"{BEACON}/ledger", f"{BEACON}/labels", f"{BEACON}/findings"
MONITORING, RECONCILIATION = f"{BEACON}/monitoring", f"{BEACON}/reconciliation"
DATA_TESTS, INFERENCE = "tests/dbt_like_checks", "tests/inference"
NUMBERS = f"{FINDINGS}/statistics"
EVALUATED = (f"{FINDINGS}/test_verdicts.py", f"{FINDINGS}/test_evaluate.py")
STATISTICS = tuple(f"{NUMBERS}/test_{name}.py" for name in ("oracles", "blind"))

MODULES: dict[str, tuple[str, ...]] = {
    "beacon_pipeline.catalog.claims": (f"{CATALOG}/test_claims.py",),
    "beacon_pipeline.catalog.entries": (f"{CATALOG}/test_entries.py",),
    "beacon_pipeline.catalog.kept": (f"{CATALOG}/test_kept.py",),
    "beacon_pipeline.catalog.limits": (f"{CATALOG}/test_entries.py",),
    "beacon_pipeline.catalog.jobspec": (f"{CATALOG}/test_jobspec.py",),
    "beacon_pipeline.catalog.partitions": (f"{CATALOG}/test_partitions.py",),
    "beacon_pipeline.catalog.plan": (f"{CATALOG}/test_plan.py",),
    "beacon_pipeline.catalog.seeds": (f"{CATALOG}/test_plan.py",),
    "beacon_pipeline.catalog.study": (f"{CATALOG}/test_study.py", f"{CATALOG}/test_claims.py"),
    "beacon_pipeline.catalog.study_plan": (f"{CATALOG}/test_study_plan.py",),
    "beacon_pipeline.escaping": (f"{BEACON}/test_escaping.py",),
    "beacon_pipeline.execution.classify_answer": (f"{EXECUTION}/test_classify_answer.py",),
    "beacon_pipeline.execution.decide": (
        f"{EXECUTION}/test_decide.py",
        f"{RECONCILIATION}/test_reconcile.py",
    ),
    "beacon_pipeline.execution.outcomes": (f"{EXECUTION}/test_outcomes.py",),
    "beacon_pipeline.execution.request": (f"{EXECUTION}/test_request.py",),
    "beacon_pipeline.execution.retry_policy": (f"{EXECUTION}/test_retry_policy.py",),
    "beacon_pipeline.findings.attribution": (f"{FINDINGS}/test_attribution.py",),
    "beacon_pipeline.findings.compare": (f"{FINDINGS}/test_compare.py",),
    "beacon_pipeline.findings.contrasts": (f"{FINDINGS}/test_contrasts.py",),
    "beacon_pipeline.findings.elsewhere": (f"{FINDINGS}/test_elsewhere.py",),
    "beacon_pipeline.findings.evaluate": EVALUATED,
    "beacon_pipeline.findings.likeness": (f"{FINDINGS}/test_summary.py", f"{FINDINGS}/test_compare.py"),
    "beacon_pipeline.findings.power": (f"{FINDINGS}/test_power.py",),
    "beacon_pipeline.findings.replication": (f"{FINDINGS}/test_replication.py",),
    "beacon_pipeline.findings.shown": (f"{FINDINGS}/test_shown.py",),
    "beacon_pipeline.findings.statistics.error_rates": (f"{NUMBERS}/test_error_rates.py",),
    "beacon_pipeline.findings.statistics.estimate": (f"{NUMBERS}/test_estimate.py",),
    "beacon_pipeline.findings.statistics.flips": (f"{NUMBERS}/test_flips.py", *STATISTICS),
    "beacon_pipeline.findings.statistics.intervals": (f"{NUMBERS}/test_intervals.py",),
    "beacon_pipeline.findings.statistics.multiplicity": STATISTICS,
    "beacon_pipeline.findings.statistics.population": (f"{NUMBERS}/test_population.py",),
    "beacon_pipeline.findings.statistics.predictions": (
        f"{NUMBERS}/test_predictions.py",
        *STATISTICS,
    ),
    "beacon_pipeline.findings.statistics.probes": (f"{NUMBERS}/test_probes.py",),
    "beacon_pipeline.findings.statistics.similarity": (
        f"{NUMBERS}/test_similarity.py",
        *STATISTICS,
    ),
    "beacon_pipeline.findings.statistics.stratified": (
        f"{NUMBERS}/test_stratified.py",
        *STATISTICS,
    ),
    "beacon_pipeline.findings.summary": (f"{FINDINGS}/test_summary.py",),
    "beacon_pipeline.findings.word_diff": (f"{FINDINGS}/test_word_diff.py",),
    "beacon_pipeline.instance.run_queue": (f"{BEACON}/instance/test_dagster_yaml.py",),
    "beacon_pipeline.jobs.job_of_run": (
        f"{JOBS}/test_job_of_run.py",
        f"{BEACON}/defs/test_schedules.py",
    ),
    "beacon_pipeline.jobs.specification": (f"{CATALOG}/test_jobspec.py", f"{JOBS}/test_job_of_run.py"),
    "beacon_pipeline.labels.agreement": (f"{LABELS}/test_agreement.py",),
    "beacon_pipeline.labels.asked": (f"{LABELS}/test_asked.py",),
    "beacon_pipeline.labels.cues": (f"{LABELS}/test_cues.py",),
    "beacon_pipeline.labels.judge": (f"{LABELS}/test_judge.py",),
    "beacon_pipeline.labels.language": (f"{LABELS}/test_language.py",),
    "beacon_pipeline.labels.naming": (f"{LABELS}/test_naming.py",),
    "beacon_pipeline.labels.rules": (f"{LABELS}/test_rules.py", f"{LABELS}/test_asked.py"),
    "beacon_pipeline.labels.sampling": (f"{LABELS}/test_sampling.py",),
    "beacon_pipeline.labels.sheets": (f"{LABELS}/test_sheets.py",),
    "beacon_pipeline.labels.text": (f"{LABELS}/test_text.py",),
    "beacon_pipeline.ledger.apply_outcome": (f"{LEDGER}/test_apply_outcome.py",),
    "beacon_pipeline.ledger.change_status": (f"{LEDGER}/test_change_status.py",),
    "beacon_pipeline.ledger.status": (f"{LEDGER}/test_status.py",),
    "beacon_pipeline.ledger.transitions": (f"{LEDGER}/test_transitions.py",),
    "beacon_pipeline.monitoring.alerts.causes": (f"{MONITORING}/alerts/test_messages.py",),
    "beacon_pipeline.monitoring.alerts.delivery": (f"{MONITORING}/alerts/test_delivery.py",),
    "beacon_pipeline.monitoring.alerts.grouping": (f"{MONITORING}/alerts/test_incidents.py",),
    "beacon_pipeline.monitoring.alerts.messages": (f"{MONITORING}/alerts/test_messages.py",),
    "beacon_pipeline.monitoring.metrics": (f"{MONITORING}/test_metrics.py",),
    "beacon_pipeline.names": (f"{BEACON}/test_stored_names.py",),
    "beacon_pipeline.reconciliation.checks": (f"{RECONCILIATION}/test_checks.py",),
    "beacon_pipeline.reconciliation.consistency": (f"{RECONCILIATION}/test_consistency.py",),
    "beacon_pipeline.reconciliation.reconcile": (f"{RECONCILIATION}/test_reconcile.py",),
    "beacon_pipeline.reconciliation.repair_runs": (f"{RECONCILIATION}/test_repair_runs.py",),
    "beacon_pipeline.studies.check": (f"{BEACON}/studies/test_studies.py",),
    "beacon_pipeline.studies.looks": (f"{BEACON}/studies/test_studies.py",),
    "dbt_like_checks.parse.references": (f"{DATA_TESTS}/parse/test_references.py",),
    "dbt_like_checks.run.compile": (f"{DATA_TESTS}/run/test_compile.py",),
    "dbt_like_checks.tests.generic.expectations": (f"{DATA_TESTS}/tests/test_expectations.py",),
    "dbt_like_checks.tests.generic.tested": (f"{DATA_TESTS}/tests/test_tested.py",),
    "dbt_like_checks.tests.thresholds": (f"{DATA_TESTS}/tests/test_thresholds.py",),
    "inference.contract.call_state": (f"{INFERENCE}/test_contract.py",),
    "inference.contract.errors": (f"{INFERENCE}/test_contract.py",),
    "inference.contract.reply": (f"{INFERENCE}/test_contract.py",),
    "inference.contract.request": (f"{INFERENCE}/test_contract.py",),
    "inference.contract.status": (f"{INFERENCE}/test_contract.py",),
    "inference.contract.values": (f"{INFERENCE}/test_contract.py",),
    "inference.http.completion": (f"{INFERENCE}/http/test_completion.py",),
    "inference.http.transport": (f"{INFERENCE}/http/test_transport.py",),
    "inference.reasoning": (f"{INFERENCE}/test_reasoning.py",),
}

# By module, the line and the change: why no test can find it.
_OF_ITSELF = (
    "b = a if others is texts else [text[:cap] for text in others]  # rapidfuzz takes each pair once then"
)
EQUIVALENT: dict[str, dict[tuple[str, str], str]] = {
    "beacon_pipeline.findings.likeness": {
        (_OF_ITSELF, "Is -> IsNot"): "the same numbers, in other time",
        (_OF_ITSELF, "condition false"): "the same numbers, in twice the time",
    },
}
