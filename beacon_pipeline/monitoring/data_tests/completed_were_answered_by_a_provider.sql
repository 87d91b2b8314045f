select executions.id, executions.region, executions.model, executions.question
from {{ ref('executions') }} as executions
where executions.status = 'completed'
and not exists (
    select 1
    from {{ ref('attempts') }} as attempts
    join {{ ref('calls') }} as calls on calls.id = attempts.call_id
    where attempts.execution_id = executions.id and calls.truth = 'succeeded'
)
