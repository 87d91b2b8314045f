{#- dbt_utils' generic tests, written after the published ones: see ../../README.md. -#}

{% macro _listed(columns) %}{{ columns | join(', ') }}{% endmacro %}
{% macro _grouped(columns) %}{% if columns %}group by {{ dbt_utils._listed(columns) }}{% endif %}{% endmacro %}
{% macro _leading(columns) %}{% if columns %}{{ dbt_utils._listed(columns) }},{% endif %}{% endmacro %}

{% test expression_is_true(model, expression, column_name=none) %}
select {{ "*" if should_store_failures() else "1 as failing" }} from {{ model }} where not ({{ column_name if column_name is not none }} {{ expression }})
{% endtest %}

{% test unique_combination_of_columns(model, combination_of_columns, quote_columns=false) %}
{%- set names = [] -%}
{%- for column in combination_of_columns %}{% do names.append(adapter.quote(column) if quote_columns else column) %}{% endfor -%}
select {{ dbt_utils._listed(names) }} from {{ model }} group by {{ dbt_utils._listed(names) }} having count(*) >= 2
{% endtest %}

{% test not_empty_string(model, column_name, trim_whitespace=true) %}
select {{ "trim(" ~ column_name ~ ") as " ~ column_name if trim_whitespace else column_name }} from {{ model }}
where {{ "trim(" ~ column_name ~ ")" if trim_whitespace else column_name }} = ''
{% endtest %}

{% test not_constant(model, column_name) %}
select filler_column from (select count(distinct {{ column_name }}) as filler_column from {{ model }}) counted
where filler_column = 1
{% endtest %}

{% test accepted_range(model, column_name, min_value=none, max_value=none, inclusive=true) %}
{%- set equal = "=" if inclusive else "" -%}
select * from {{ model }}
where not (
    {{ column_name ~ " >" ~ equal ~ " " ~ min_value if min_value is not none else "true" }}
    and {{ column_name ~ " <" ~ equal ~ " " ~ max_value if max_value is not none else "true" }}
)
{% endtest %}

{% test at_least_one(model, column_name, group_by_columns=[]) %}
select {{ dbt_utils._leading(group_by_columns) }} count({{ column_name }}) as filler_column from {{ model }}
{{ dbt_utils._grouped(group_by_columns) }} having count({{ column_name }}) = 0
{% endtest %}

{#- Grouped by a constant even without columns, as published: an empty table counts nothing, not zero. -#}
{#- Of every grouping column and of the constant there are two, of either side. -#}
{% macro _row_counts(model, compare_model, columns, one, ours, theirs) %}
{%- set groups = [one] + columns -%}
select {% for column in groups %}here.{{ column }} as {{ column }}_a, there.{{ column }} as {{ column }}_b, {% endfor %}{{ ours }}, {{ theirs }}
from (select {{ dbt_utils._leading(columns) }} 1 as {{ one }}, count(*) as {{ ours }} from {{ model }} {{ dbt_utils._grouped(groups) }}) here
full join (select {{ dbt_utils._leading(columns) }} 1 as {{ one }}, count(*) as {{ theirs }} from {{ compare_model }} {{ dbt_utils._grouped(groups) }}) there
on true {% for column in groups %} and here.{{ column }} = there.{{ column }}{% endfor %}
{% endmacro %}

{% test equal_rowcount(model, compare_model, group_by_columns=[]) %}
{{ config(fail_calc="sum(coalesce(diff_count, 0))") }}
select *, abs(count_a - count_b) as diff_count
from ({{ dbt_utils._row_counts(model, compare_model, group_by_columns, "id_dbtutils_test_equal_rowcount", "count_a", "count_b") }}) counted
{% endtest %}

{% test fewer_rows_than(model, compare_model, group_by_columns=[]) %}
{{ config(fail_calc="sum(coalesce(row_count_delta, 0))") }}
select *, case when count_our_model > count_comparison_model then count_our_model - count_comparison_model
    when count_our_model = count_comparison_model then 1 else 0 end as row_count_delta
from ({{ dbt_utils._row_counts(model, compare_model, group_by_columns, "id_dbtutils_test_fewer_rows_than", "count_our_model", "count_comparison_model") }}) counted
{% endtest %}

{% test recency(model, field, datepart, interval, ignore_time_component=false, group_by_columns=[]) %}
{%- set kind = "date" if ignore_time_component else "timestamp" -%}
{%- set oldest = "cast(" ~ dbt.dateadd(datepart, -1 * interval, dbt.current_timestamp()) ~ " as " ~ kind ~ ")" -%}
select *, {{ oldest }} as threshold from (
    select {{ dbt_utils._leading(group_by_columns) }} max(cast({{ field }} as {{ kind }})) as most_recent
    from {{ model }} {{ dbt_utils._grouped(group_by_columns) }}
) found
where most_recent is null or most_recent < {{ oldest }}
{% endtest %}

{% test mutually_exclusive_ranges(model, lower_bound_column, upper_bound_column, partition_by=none, gaps="allowed", zero_length_range_allowed=false) %}
{%- set meets = {"allowed": "<=", "not_allowed": "=", "required": "<"}[gaps] -%}
{%- set spans = "<=" if zero_length_range_allowed else "<" -%}
{%- set words = {"<=": "less_than_or_equal_to", "=": "equal_to", "<": "less_than"} -%}
{%- set window = ("partition by " ~ partition_by if partition_by else "") -%}
select * from (
    select *, coalesce(lower_bound {{ spans }} upper_bound, false) as lower_bound_{{ words[spans] }}_upper_bound,
        coalesce(upper_bound {{ meets }} next_lower_bound, is_last_record, false) as upper_bound_{{ words[meets] }}_next_lower_bound
    from (
        select {{ partition_by ~ " as partition_by_col," if partition_by }}
            {{ lower_bound_column }} as lower_bound, {{ upper_bound_column }} as upper_bound,
            lead({{ lower_bound_column }}) over ({{ window }} order by {{ lower_bound_column }}, {{ upper_bound_column }}) as next_lower_bound,
            row_number() over ({{ window }} order by {{ lower_bound_column }} desc, {{ upper_bound_column }} desc) = 1 as is_last_record
        from {{ model }}
    ) ranges
) judged
where not lower_bound_{{ words[spans] }}_upper_bound or not upper_bound_{{ words[meets] }}_next_lower_bound
{% endtest %}

{% test sequential_values(model, column_name, interval=1, datepart=none, group_by_columns=[]) %}
{%- set before = "previous_" ~ column_name -%}
{%- set expected = dbt.dateadd(datepart, interval, before) if datepart else before ~ " + " ~ interval -%}
select * from (
    select {{ dbt_utils._leading(group_by_columns) }} {{ column_name }}, lag({{ column_name }}) over (
        {{ "partition by " ~ dbt_utils._listed(group_by_columns) if group_by_columns }} order by {{ column_name }}
    ) as {{ before }}
    from {{ model }}
) steps
where {{ column_name }} <> {{ expected }}
{% endtest %}

{% test cardinality_equality(model, column_name, to, field) %}
with ours as (select {{ column_name }}, count(*) as num_rows from {{ model }} group by 1),
theirs as (select {{ field }}, count(*) as num_rows from {{ to }} group by 1)
(select * from ours except select * from theirs) union all (select * from theirs except select * from ours)
{% endtest %}

{% test not_null_proportion(model, column_name, at_least, at_most=1.0, group_by_columns=[]) %}
select * from (
    select {{ dbt_utils._leading(group_by_columns) }} sum(case when {{ column_name }} is null then 0.0 else 1.0 end) / count(*) as not_null_proportion
    from {{ model }} {{ dbt_utils._grouped(group_by_columns) }}
) shares
where not_null_proportion < {{ at_least }} or not_null_proportion > {{ at_most }}
{% endtest %}

{% test relationships_where(model, column_name, to, field, from_condition="1=1", to_condition="1=1") %}
select ours.id, theirs.id as right_id
from (select {{ column_name }} as id from {{ model }} where {{ column_name }} is not null and {{ from_condition }}) ours
left join (select {{ field }} as id from {{ to }} where {{ field }} is not null and {{ to_condition }}) theirs
on ours.id = theirs.id
where theirs.id is null
{% endtest %}

{% test not_accepted_values(model, column_name, values, quote=true) %}
select distinct {{ column_name }} as value_field from {{ model }}
where {{ column_name }} in ({% for value in values %}{{ "'" ~ value ~ "'" if quote else value }}{{ "," if not loop.last }}{% endfor %})
{% endtest %}

{% test equality(model, compare_model, compare_columns=none) %}
{{ config(fail_calc="count(*) + coalesce(abs(sum(case when which_diff = 'a_minus_b' then 1 else 0 end) - sum(case when which_diff = 'b_minus_a' then 1 else 0 end)), 0)") }}
{%- set listed = dbt_utils._listed(compare_columns) if compare_columns else "*" -%}
select 'a_minus_b' as which_diff, only_ours.* from (select {{ listed }} from {{ model }} except select {{ listed }} from {{ compare_model }}) only_ours
union all
select 'b_minus_a' as which_diff, only_theirs.* from (select {{ listed }} from {{ compare_model }} except select {{ listed }} from {{ model }}) only_theirs
{% endtest %}
