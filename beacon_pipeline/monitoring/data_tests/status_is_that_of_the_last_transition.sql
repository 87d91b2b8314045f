select executions.id, executions.status, last_one.to_status as last_transition
from {{ ref('executions') }} as executions
join (
    select execution_id, max(id) as id from {{ ref('transitions') }} group by execution_id
) as newest on newest.execution_id = executions.id
join {{ ref('transitions') }} as last_one on last_one.id = newest.id
where last_one.to_status <> executions.status
