{{ config(severity='warn') }}
with settled as (
    select job_id, region, count(*) as asked,
        sum(case when status = 'completed' then 1 else 0 end) as completed
    from {{ ref('executions') }}
    where status not in ('pending', 'dispatched')
    group by job_id, region
),
best as (
    select job_id, max(completed * 1.0 / asked) as share from settled group by job_id
)
select settled.job_id, settled.region, settled.completed, settled.asked, best.share as best_share
from settled join best on best.job_id = settled.job_id
where settled.completed * 1.0 / settled.asked < best.share - 0.1
