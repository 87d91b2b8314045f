{#- dbt_expectations' generic tests, written after the published ones: see ../../README.md. -#}

{% macro _failing(model, expectation, row_condition) %}
select ({{ expectation }}) as expression from {{ model }} where not ({{ expectation }}) {% if row_condition %} and ({{ row_condition }}){% endif %}
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
{{ dbt_expectations._aggregate(model, dbt_expectations._between("count(*)", min_value, max_value, strictly), none, row_condition) }}
{% endtest %}

{% test expect_column_to_exist(model, column_name) %}
{%- set names = [] -%}
{%- if execute %}{% for column in adapter.get_columns_in_relation(model) %}{% do names.append(column.name | upper) %}{% endfor %}{% endif -%}
select '{{ column_name }}' as column_name, -1 as matching_column_index, true as column_index_matches
where {{ 0 if column_name | upper in names else 1 }} = 1
{% endtest %}

{% test expect_column_values_to_be_between(model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._failing(model, dbt_expectations._between(column_name, min_value, max_value, strictly), row_condition) }}
{% endtest %}

{#- As published: a row without a value is joined with none of the set, and fails. -#}
{% test expect_column_values_to_be_in_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
select {{ column_name }} as value_field from {{ model }}
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

{#- Columns as the published ones name them: col_1, col_2 of the groups, and what does not hold. -#}
{% macro _aggregate(model, expression, group_by, row_condition) %}
select * from (
    select {% for column in group_by or [] %}{{ column }} as col_{{ loop.index }}, {% endfor %}({{ expression }}) as expression
    from {{ model }} {% if row_condition %}where {{ row_condition }}{% endif %}
    {% if group_by %}group by {{ group_by | join(', ') }}{% endif %}
) counted where not expression
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
select {{ column_name }}, count(*) as n_records from {{ model }}
where {{ column_name }} is not null {% if row_condition %} and ({{ row_condition }}){% endif %}
group by {{ column_name }} having count(*) >= 2
{% endtest %}

{#- As published: joined with the set, so that a value listed twice counts twice. -#}
{% test expect_column_values_to_not_be_in_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
select {{ column_name }} as value_field from {{ model }}
where {{ column_name }} in ({{ dbt_expectations._listed(value_set, quote_values) }}) {% if row_condition %} and ({{ row_condition }}){% endif %}
{% endtest %}

{% macro _listed(values, quoted) %}
{%- for value in values %}{{ "'" ~ value ~ "'" if quoted else value }}{{ ", " if not loop.last }}{% endfor -%}
{% endmacro %}

{% test expect_column_distinct_values_to_be_in_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
select value_field from (select distinct {{ column_name }} as value_field from {{ model }} {% if row_condition %}where {{ row_condition }}{% endif %}) found
where value_field is null or value_field not in ({{ dbt_expectations._listed(value_set, quote_values) }})
{% endtest %}

{% test expect_column_values_to_be_null(model, column_name, row_condition=none) %}
{{ dbt_expectations._failing(model, column_name ~ " is null", row_condition) }}
{% endtest %}

{% test expect_compound_columns_to_be_unique(model, column_list, ignore_row_if="all_values_are_missing", row_condition=none) %}
{%- set both = {"all_values_are_missing": " or ", "any_value_is_missing": " and "} -%}
select {{ column_list | join(", ") }}, count(*) as n_records from {{ model }}
where ({{ column_list | join(" is not null" ~ both[ignore_row_if]) }} is not null)
{% if row_condition %} and ({{ row_condition }}){% endif %}
group by {{ column_list | join(", ") }} having count(*) >= 2
{% endtest %}

{% test expect_column_values_to_be_in_type_list(model, column_name, column_type_list) %}
{%- set wrong = [] -%}
{%- if execute %}{% for column in adapter.get_columns_in_relation(model) %}
{%- if column.name | upper == column_name | upper and column.dtype | upper not in column_type_list | map("upper") | list %}{% do wrong.append(1) %}{% endif %}
{%- endfor %}{% endif -%}
select '{{ column_name }}' as relation_column, '' as relation_column_type where {{ wrong | length }} = 1
{% endtest %}

{% test expect_column_values_to_be_of_type(model, column_name, column_type) %}
{{ dbt_expectations.test_expect_column_values_to_be_in_type_list(model, column_name, [column_type]) }}
{% endtest %}

{% test expect_column_pair_values_to_be_equal(model, column_A, column_B, row_condition=none) %}
{{ dbt_expectations._failing(model, column_A ~ " = " ~ column_B, row_condition) }}
{% endtest %}

{% test expect_column_distinct_count_to_be_greater_than(model, column_name, value, group_by=none, row_condition=none) %}
{{ dbt_expectations._aggregate(model, "count(distinct " ~ column_name ~ ") > " ~ value, group_by, row_condition) }}
{% endtest %}

{% test expect_column_distinct_count_to_be_less_than(model, column_name, value, group_by=none, row_condition=none) %}
{{ dbt_expectations._aggregate(model, "count(distinct " ~ column_name ~ ") < " ~ value, group_by, row_condition) }}
{% endtest %}

{% test expect_column_min_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._aggregate(model, dbt_expectations._between("min(" ~ column_name ~ ")", min_value, max_value, strictly), group_by, row_condition) }}
{% endtest %}

{% test expect_column_sum_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._aggregate(model, dbt_expectations._between("sum(" ~ column_name ~ ")", min_value, max_value, strictly), group_by, row_condition) }}
{% endtest %}

{% test expect_column_mean_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._aggregate(model, dbt_expectations._between("avg(" ~ column_name ~ ")", min_value, max_value, strictly), group_by, row_condition) }}
{% endtest %}

{% test expect_column_unique_value_count_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._aggregate(model, dbt_expectations._between("count(distinct " ~ column_name ~ ")", min_value, max_value, strictly), group_by, row_condition) }}
{% endtest %}

{% test expect_column_proportion_of_unique_values_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._aggregate(model, dbt_expectations._between("(case when count(" ~ column_name ~ ") = 0 then 1 else count(distinct " ~ column_name ~ ") / count(" ~ column_name ~ ")::double end)", min_value, max_value, strictly), group_by, row_condition) }}
{% endtest %}

{% test expect_column_values_to_match_regex_list(model, column_name, regex_list, match_on="any", row_condition=none) %}
{%- set each = [] -%}
{%- for regex in regex_list %}{% do each.append("regexp_matches(" ~ column_name ~ ", '" ~ regex ~ "')") %}{% endfor -%}
{{ dbt_expectations._failing(model, each | join(" and " if match_on == "all" else " or "), row_condition) }}
{% endtest %}

{% test expect_column_values_to_not_match_regex_list(model, column_name, regex_list, match_on="any", row_condition=none) %}
{%- set each = [] -%}
{%- for regex in regex_list %}{% do each.append("not regexp_matches(" ~ column_name ~ ", '" ~ regex ~ "')") %}{% endfor -%}
{{ dbt_expectations._failing(model, each | join(" and " if match_on == "all" else " or "), row_condition) }}
{% endtest %}
