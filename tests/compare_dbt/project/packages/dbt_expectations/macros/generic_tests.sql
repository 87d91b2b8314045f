{#- dbt_expectations' generic tests, written after the published ones: see ../../README.md. -#}

{% macro _failing(model, expectation, row_condition) %}
select 1 as failing from {{ model }} where not ({{ expectation }}) {% if row_condition %} and ({{ row_condition }}){% endif %}
{% endmacro %}

{% macro _between(value, min_value, max_value, strictly) %}
{%- set equal = "" if strictly else "=" -%}
{{ value ~ " >" ~ equal ~ " " ~ min_value if min_value is not none else "true" }}
and {{ value ~ " <" ~ equal ~ " " ~ max_value if max_value is not none else "true" }}
{% endmacro %}

{% test expect_column_values_to_match_regex(model, column_name, regex, row_condition=none) %}
{{ dbt_expectations._failing(model, "regexp_matches(" ~ column_name ~ ", '" ~ regex ~ "')", row_condition) }}
{% endtest %}

{% test expect_column_values_to_not_match_regex(model, column_name, regex, row_condition=none) %}
{{ dbt_expectations._failing(model, "not regexp_matches(" ~ column_name ~ ", '" ~ regex ~ "')", row_condition) }}
{% endtest %}

{% test expect_column_value_lengths_to_equal(model, column_name, value, row_condition=none) %}
{{ dbt_expectations._failing(model, "length(" ~ column_name ~ ") = " ~ value, row_condition) }}
{% endtest %}

{% test expect_column_value_lengths_to_be_between(model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._failing(model, dbt_expectations._between("length(" ~ column_name ~ ")", min_value, max_value, strictly), row_condition) }}
{% endtest %}

{% test expect_table_row_count_to_be_between(model, min_value=none, max_value=none, row_condition=none, strictly=false) %}
select n from (select count(*) as n from {{ model }} {% if row_condition %}where {{ row_condition }}{% endif %}) counted
where not ({{ dbt_expectations._between("n", min_value, max_value, strictly) }})
{% endtest %}

{% test expect_column_to_exist(model, column_name) %}
{%- set names = [] -%}
{%- if execute %}{% for column in adapter.get_columns_in_relation(model) %}{% do names.append(column.name | upper) %}{% endfor %}{% endif -%}
select 1 as missing where {{ 0 if column_name | upper in names else 1 }} = 1
{% endtest %}

{% test expect_column_values_to_be_between(model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._failing(model, dbt_expectations._between(column_name, min_value, max_value, strictly), row_condition) }}
{% endtest %}

{#- As published: a row without a value is joined with none of the set, and fails. -#}
{% test expect_column_values_to_be_in_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
select {{ column_name }} as v from {{ model }}
where ({{ column_name }} is null or {{ column_name }} not in (
    {% for value in value_set %}{{ "'" ~ value ~ "'" if quote_values else value }}{{ "," if not loop.last }}{% endfor %}
)) {% if row_condition %} and ({{ row_condition }}){% endif %}
{% endtest %}

{% test expect_column_values_to_not_be_null(model, column_name, row_condition=none) %}
{{ dbt_expectations._failing(model, column_name ~ " is not null", row_condition) }}
{% endtest %}

{% test expect_column_pair_values_A_to_be_greater_than_B(model, column_A, column_B, or_equal=false, row_condition=none) %}
{{ dbt_expectations._failing(model, column_A ~ (" >= " if or_equal else " > ") ~ column_B, row_condition) }}
{% endtest %}

{% macro _aggregate(model, expression, group_by, row_condition) %}
select * from (
    select {% for column in group_by or [] %}{{ column }} as g{{ loop.index }}, {% endfor %}{{ expression }} as holds
    from {{ model }} {% if row_condition %}where {{ row_condition }}{% endif %}
    {% if group_by %}group by {{ group_by | join(', ') }}{% endif %}
) counted where not holds
{% endmacro %}

{% test expect_column_distinct_count_to_equal(model, column_name, value, group_by=none, row_condition=none) %}
{{ dbt_expectations._aggregate(model, "count(distinct " ~ column_name ~ ") = " ~ value, group_by, row_condition) }}
{% endtest %}

{% test expect_table_row_count_to_equal(model, value, group_by=none, row_condition=none) %}
{{ dbt_expectations._aggregate(model, "count(*) = " ~ value, group_by, row_condition) }}
{% endtest %}

{% test expect_column_max_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._aggregate(model, dbt_expectations._between("max(" ~ column_name ~ ")", min_value, max_value, strictly), group_by, row_condition) }}
{% endtest %}

{% test expect_column_values_to_be_unique(model, column_name, row_condition=none) %}
select {{ column_name }} from {{ model }}
where {{ column_name }} is not null {% if row_condition %} and ({{ row_condition }}){% endif %}
group by {{ column_name }} having count(*) >= 2
{% endtest %}
