"""A process with one run that writes failing check evaluations, named after its argument."""

import sys

import dagster as dg

WRITTEN = 15


@dg.op
def checks(context: dg.OpExecutionContext) -> None:
    for number in range(WRITTEN):
        evaluation = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("a"),
            check_name="any",
            passed=False,
            partition=f"{context.run.tags['name']}-{number}",
        )
        context.log_event(evaluation)


@dg.job
def a_job() -> None:
    checks()


if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        a_job.execute_in_process(instance=instance, tags={"name": sys.argv[1]})
