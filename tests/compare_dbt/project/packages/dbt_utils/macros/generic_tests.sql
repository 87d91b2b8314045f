{#- dbt_utils' generic tests, written after the published ones: see ../../README.md. -#}

{% macro _listed(columns) %}{{ columns | join(', ') }}{% endmacro %}
{% macro _grouped(columns) %}{% if columns %}group by {{ dbt_utils._listed(columns) }}{% endif %}{% endmacro %}
{% macro _leading(columns) %}{% if columns %}{{ dbt_utils._listed(columns) }},{% endif %}{% endmacro %}

{% test expression_is_true(model, expression, column_name=none) %}
select 1 as failing from {{ model }} where not ({{ column_name if column_name is not none }} {{ expression }})
{% endtest %}

{% test unique_combination_of_columns(model, combination_of_columns, quote_columns=false) %}
{%- set names = [] -%}
{%- for column in combination_of_columns %}{% do names.append(adapter.quote(column) if quote_columns else column) %}{% endfor -%}
select {{ dbt_utils._listed(names) }} from {{ model }} group by {{ dbt_utils._listed(names) }} having count(*) >= 2
{% endtest %}

{% test not_empty_string(model, column_name, trim_whitespace=true) %}
select {{ column_name }} from {{ model }}
where {{ "trim(" ~ column_name ~ ")" if trim_whitespace else column_name }} = ''
{% endtest %}

{% test not_constant(model, column_name) %}
select distinct_values from (select count(distinct {{ column_name }}) as distinct_values from {{ model }}) counted
where distinct_values = 1
{% endtest %}

{% test accepted_range(model, column_name, min_value=none, max_value=none, inclusive=true) %}
{%- set equal = "=" if inclusive else "" -%}
select {{ column_name }} from {{ model }}
where not (
    {{ column_name ~ " >" ~ equal ~ " " ~ min_value if min_value is not none else "true" }}
    and {{ column_name ~ " <" ~ equal ~ " " ~ max_value if max_value is not none else "true" }}
)
{% endtest %}

{% test at_least_one(model, column_name, group_by_columns=[]) %}
select {{ dbt_utils._leading(group_by_columns) }} count({{ column_name }}) as present from {{ model }}
{{ dbt_utils._grouped(group_by_columns) }} having count({{ column_name }}) = 0
{% endtest %}

{#- Grouped by a constant even without columns, as published: an empty table counts nothing, not zero. -#}
{% macro _row_counts(model, compare_model, columns) %}
{%- set groups = ["one"] + columns -%}
select ours.n as ours, theirs.n as theirs
from (select {{ dbt_utils._leading(columns) }} 1 as one, count(*) as n from {{ model }} {{ dbt_utils._grouped(groups) }}) ours
full join (select {{ dbt_utils._leading(columns) }} 1 as one, count(*) as n from {{ compare_model }} {{ dbt_utils._grouped(groups) }}) theirs
on true {% for column in groups %} and ours.{{ column }} = theirs.{{ column }}{% endfor %}
{% endmacro %}

{% test equal_rowcount(model, compare_model, group_by_columns=[]) %}
{{ config(fail_calc="sum(coalesce(difference, 0))") }}
select abs(ours - theirs) as difference
from ({{ dbt_utils._row_counts(model, compare_model, group_by_columns) }}) counted
{% endtest %}

{% test fewer_rows_than(model, compare_model, group_by_columns=[]) %}
{{ config(fail_calc="sum(coalesce(excess, 0))") }}
select case when ours > theirs then ours - theirs when ours = theirs then 1 else 0 end as excess
from ({{ dbt_utils._row_counts(model, compare_model, group_by_columns) }}) counted
{% endtest %}

{% test recency(model, field, datepart, interval, ignore_time_component=false, group_by_columns=[]) %}
{%- set kind = "date" if ignore_time_component else "timestamp" -%}
select * from (
    select {{ dbt_utils._leading(group_by_columns) }} max(cast({{ field }} as {{ kind }})) as newest
    from {{ model }} {{ dbt_utils._grouped(group_by_columns) }}
) found
where newest is null or newest < cast({{ dbt.dateadd(datepart, -1 * interval, dbt.current_timestamp()) }} as {{ kind }})
{% endtest %}

{% test mutually_exclusive_ranges(model, lower_bound_column, upper_bound_column, partition_by=none, gaps="allowed", zero_length_range_allowed=false) %}
{%- set meets = {"allowed": "<=", "not_allowed": "=", "required": "<"}[gaps] -%}
{%- set spans = "<=" if zero_length_range_allowed else "<" -%}
{%- set window = ("partition by " ~ partition_by if partition_by else "") -%}
select * from (
    select {{ lower_bound_column }} as starts, {{ upper_bound_column }} as ends,
        lead({{ lower_bound_column }}) over ({{ window }} order by {{ lower_bound_column }}, {{ upper_bound_column }}) as next_starts,
        row_number() over ({{ window }} order by {{ lower_bound_column }} desc, {{ upper_bound_column }} desc) as from_last
    from {{ model }}
) ranges
where coalesce(starts {{ spans }} ends, false) = false
or coalesce(ends {{ meets }} next_starts, from_last = 1) = false
{% endtest %}

{% test sequential_values(model, column_name, interval=1, datepart=none, group_by_columns=[]) %}
{%- set expected = dbt.dateadd(datepart, interval, "previous") if datepart else "previous + " ~ interval -%}
select * from (
    select {{ column_name }} as present, lag({{ column_name }}) over (
        {{ "partition by " ~ dbt_utils._listed(group_by_columns) if group_by_columns }} order by {{ column_name }}
    ) as previous
    from {{ model }}
) steps
where present <> {{ expected }}
{% endtest %}

{% test cardinality_equality(model, column_name, to, field) %}
with ours as (select {{ column_name }} as v, count(*) as n from {{ model }} group by 1),
theirs as (select {{ field }} as v, count(*) as n from {{ to }} group by 1)
(select * from ours except select * from theirs) union all (select * from theirs except select * from ours)
{% endtest %}

{% test not_null_proportion(model, column_name, at_least, at_most=1.0, group_by_columns=[]) %}
select * from (
    select {{ dbt_utils._leading(group_by_columns) }} sum(case when {{ column_name }} is null then 0.0 else 1.0 end) / count(*) as share
    from {{ model }} {{ dbt_utils._grouped(group_by_columns) }}
) shares
where share < {{ at_least }} or share > {{ at_most }}
{% endtest %}

{% test relationships_where(model, column_name, to, field, from_condition="1=1", to_condition="1=1") %}
select ours.v, theirs.v as matched
from (select {{ column_name }} as v from {{ model }} where {{ column_name }} is not null and {{ from_condition }}) ours
left join (select {{ field }} as v from {{ to }} where {{ field }} is not null and {{ to_condition }}) theirs
on ours.v = theirs.v
where theirs.v is null
{% endtest %}

{% test not_accepted_values(model, column_name, values, quote=true) %}
select distinct {{ column_name }} as v from {{ model }}
where {{ column_name }} in ({% for value in values %}{{ "'" ~ value ~ "'" if quote else value }}{{ "," if not loop.last }}{% endfor %})
{% endtest %}

{% test equality(model, compare_model, compare_columns=none) %}
{{ config(fail_calc="count(*) + coalesce(abs(sum(case when side = 'ours' then 1 else 0 end) - sum(case when side = 'theirs' then 1 else 0 end)), 0)") }}
{%- set listed = dbt_utils._listed(compare_columns) if compare_columns else "*" -%}
select 'ours' as side, only_ours.* from (select {{ listed }} from {{ model }} except select {{ listed }} from {{ compare_model }}) only_ours
union all
select 'theirs' as side, only_theirs.* from (select {{ listed }} from {{ compare_model }} except select {{ listed }} from {{ model }}) only_theirs
{% endtest %}
