{#- The rarer of dbt_expectations' generic tests, written after the published ones: see ../../README.md. -#}

{% macro _expression(model, expression, condition, group_by, row_condition) %}
select * from (
    select {% for column in group_by or [] %}{{ column }} as col_{{ loop.index }}, {% endfor %}({{ expression }}) as expression
    from {{ model }} {% if row_condition %}where {{ row_condition }}{% endif %}
    {% if group_by %}group by {{ group_by | join(', ') }}{% endif %}
) judged where not (expression {{ condition }})
{% endmacro %}

{% test expression_is_true(model, expression, test_condition="= true", group_by_columns=none, row_condition=none) %}
{{ dbt_expectations._expression(model, expression, test_condition, group_by_columns, row_condition) }}
{% endtest %}

{% test expression_between(model, expression, min_value=none, max_value=none, group_by_columns=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._expression(model, dbt_expectations._between(expression, min_value, max_value, strictly), "", group_by_columns, row_condition) }}
{% endtest %}

{% test expect_multicolumn_sum_to_equal(model, column_list, sum_total, group_by=none, row_condition=none) %}
{%- set total = sum_total if sum_total is number else "sum(" ~ sum_total ~ ")" -%}
{{ dbt_expectations._expression(model, "sum(" ~ column_list | join(") + sum(") ~ ") = " ~ total, "", group_by, row_condition) }}
{% endtest %}

{% macro _side(model, expression, group_by, row_condition) %}
(select {% for column in group_by or [] %}{{ column }} as col_{{ loop.index }}, {% endfor %}{{ expression }} as n from {{ model }}
where {{ row_condition or "true" }} {% if group_by %}group by {{ group_by | join(", ") }}{% endif %})
{% endmacro %}

{#- As published: a group that one side lacks counts 0 there; NULL is nobody's group. -#}
{% test equal_expression(model, expression, compare_model=none, compare_expression=none, group_by=none, compare_group_by=none, row_condition=none, compare_row_condition=none, tolerance=0.0, tolerance_percent=none) %}
select * from (
    select {% for column in group_by or [] %}coalesce(here.col_{{ loop.index }}, there.col_{{ loop.index }}) as col_{{ loop.index }}, {% endfor %}
        here.n as expression, there.n as compare_expression,
        abs(coalesce(here.n, 0) - coalesce(there.n, 0)) as expression_difference,
        abs(coalesce(here.n, 0) - coalesce(there.n, 0)) / nullif(here.n * 1.0, 0) as expression_difference_percent
    from {{ dbt_expectations._side(model, expression, group_by, row_condition) }} here
    full outer join {{ dbt_expectations._side(compare_model or model, compare_expression or expression, compare_group_by or group_by, compare_row_condition or row_condition) }} there
    on true {% for column in group_by or [] %}and here.col_{{ loop.index }} = there.col_{{ loop.index }} {% endfor %}
) joined
where {% if tolerance_percent %}expression_difference_percent > {{ tolerance_percent }}{% else %}expression_difference > {{ tolerance }}{% endif %}
{% endtest %}

{% test expect_table_aggregation_to_equal_other_table(model, expression, compare_model, compare_expression=none, group_by=none, compare_group_by=none, row_condition=none, compare_row_condition=none, tolerance=0.0, tolerance_percent=none) %}
{{ dbt_expectations.test_equal_expression(model, expression, compare_model, compare_expression, group_by, compare_group_by, row_condition, compare_row_condition, tolerance, tolerance_percent) }}
{% endtest %}

{% test expect_table_row_count_to_equal_other_table(model, compare_model, group_by=none, compare_group_by=none, factor=1, row_condition=none, compare_row_condition=none) %}
{{ dbt_expectations.test_equal_expression(model, "count(*)", compare_model, "count(*) * " ~ factor, group_by, compare_group_by, row_condition, compare_row_condition) }}
{% endtest %}

{% test expect_table_row_count_to_equal_other_table_times_factor(model, compare_model, factor, group_by=none, compare_group_by=none, row_condition=none, compare_row_condition=none) %}
{{ dbt_expectations.test_equal_expression(model, "count(*)", compare_model, "count(*) * " ~ factor, group_by, compare_group_by, row_condition, compare_row_condition) }}
{% endtest %}

{% test expect_column_distinct_count_to_equal_other_table(model, column_name, compare_model, compare_column_name=none, row_condition=none, compare_row_condition=none) %}
{{ dbt_expectations.test_equal_expression(model, "count(distinct " ~ column_name ~ ")", compare_model, "count(distinct " ~ (compare_column_name or column_name) ~ ")", row_condition=row_condition, compare_row_condition=compare_row_condition) }}
{% endtest %}

{#- As published: what is in the future does not count. -#}
{% test expect_row_values_to_have_recent_data(model, column_name, datepart, interval, row_condition=none) %}
select * from (
    select max({{ column_name }}::timestamp) as max_timestamp from {{ model }}
    where {{ column_name }}::timestamp <= now()::timestamp and {{ row_condition or "true" }}
) found where max_timestamp is null or max_timestamp < now()::timestamp - interval '1 {{ datepart }}' * {{ interval }}
{% endtest %}

{% test expect_grouped_row_values_to_have_recent_data(model, group_by, timestamp_column, datepart, interval, row_condition=none) %}
select 1 as row_count, {{ group_by | join(", ") }}, 1 as join_key, max({{ timestamp_column }}::timestamp) as latest_timestamp_column from {{ model }}
where {{ timestamp_column }}::timestamp <= now()::timestamp and {{ row_condition or "true" }}
{% for column in group_by %} and {{ column }} is not null{% endfor %}
group by {{ group_by | join(", ") }}
having max({{ timestamp_column }}::timestamp) < now()::timestamp - interval '1 {{ datepart }}' * {{ interval }}
{% endtest %}

{% test expect_row_values_to_have_data_for_every_n_datepart(model, date_col, date_part="day", interval=1, row_condition=none, exclusion_condition=none, test_start_date=none, test_end_date=none) %}
{%- set rows = "(select * from " ~ model ~ " where " ~ (row_condition or "true") ~ ")" -%}
{%- set first = "'" ~ test_start_date ~ "'::date" if test_start_date else "(select min(" ~ date_col ~ ")::date from " ~ rows ~ ")" -%}
{%- set last = "'" ~ test_end_date ~ "'::date" if test_end_date else "(select max(" ~ date_col ~ ")::date from " ~ rows ~ ")" -%}
select *, true as is_missing, 0 as row_cnt from (
    select unnest(generate_series({{ first }}::timestamp, {{ last }}::timestamp - interval '1 second', interval '1 {{ date_part }}' * {{ interval }})) as date_{{ date_part }}
) steps
where not exists (
    select 1 from {{ rows }} data where date_trunc('{{ date_part }}', {{ date_col }}) >= date_{{ date_part }}
    and date_trunc('{{ date_part }}', {{ date_col }}) < date_{{ date_part }} + interval '1 {{ date_part }}' * {{ interval }}
) and {{ exclusion_condition or "true" }}
{% endtest %}

{% macro _rows(values, quoted) %}
(select unnest([{% for value in values %}{{ "'" ~ value ~ "'" if quoted else value }}{{ ", " if not loop.last }}{% endfor %}]) as value_field)
{% endmacro %}

{% test expect_column_distinct_values_to_contain_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
select distinct value_field from {{ dbt_expectations._rows(value_set, quote_values) }} wanted
where not exists (select 1 from {{ model }} where {{ column_name }} = value_field and {{ row_condition or "true" }})
{% endtest %}

{#- As published: NULL is of no list, and fails. -#}
{% test expect_column_distinct_values_to_equal_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
select distinct null as column_value, value_field::varchar as value_field from {{ dbt_expectations._rows(value_set, quote_values) }} wanted
where not exists (select 1 from {{ model }} where {{ column_name }} = value_field and {{ row_condition or "true" }})
union all
select distinct {{ column_name }}::varchar, null from {{ model }}
where not exists (select 1 from {{ dbt_expectations._rows(value_set, quote_values) }} wanted where {{ column_name }} = value_field)
and {{ row_condition or "true" }}
{% endtest %}

{% test expect_column_most_common_value_to_be_in_set(model, column_name, value_set, top_n, quote_values=true, data_type="decimal", row_condition=none) %}
select value_field from (
    select {{ column_name }} as value_field, row_number() over (order by count(*) desc) as place
    from {{ model }} where {{ row_condition or "true" }} group by {{ column_name }}
) ranked where place = {{ top_n }} and value_field not in ({{ dbt_expectations._listed(value_set, quote_values) }})
{% endtest %}

{% test expect_column_pair_values_to_be_in_set(model, column_A, column_B, value_pairs_set, row_condition=none) %}
{%- set pairs = [] -%}
{%- for one, other in value_pairs_set %}{% do pairs.append("(" ~ column_A ~ " = " ~ one ~ " and " ~ column_B ~ " = " ~ other ~ ")") %}{% endfor -%}
{{ dbt_expectations._failing(model, pairs | join(" or "), row_condition) }}
{% endtest %}

{#- As published: a value that is not there differs from none. -#}
{% test expect_select_column_values_to_be_unique_within_record(model, column_list, ignore_row_if="all_values_are_missing", row_condition=none) %}
{%- set both = {"all_values_are_missing": " or ", "any_value_is_missing": " and "} -%}
select row_number() over (order by {{ column_list | join(", ") }}) as row_index,
len(list_distinct([{% for column in column_list %}{{ column }}::varchar{{ ", " if not loop.last }}{% endfor %}])) as column_values from {{ model }}
where len(list_distinct([{% for column in column_list %}{{ column }}::varchar{{ ", " if not loop.last }}{% endfor %}])) < {{ column_list | length }}
and ({{ column_list | join(" is not null" ~ both[ignore_row_if]) }} is not null)
{% if row_condition %} and ({{ row_condition }}){% endif %}
{% endtest %}

{#- As published: NULL is a value of its own, and has no case. -#}
{% test expect_column_values_to_have_consistent_casing(model, column_name, display_inconsistent_columns=false) %}
{% if display_inconsistent_columns %}
select lower({{ column_name }}) as inconsistent_columns, count(distinct {{ column_name }}) as set_count_case_insensitive
from {{ model }} group by inconsistent_columns having count(distinct {{ column_name }}) > 1
{% else %}
select count(*) as set_count, count(distinct lower(v)) as set_count_case_insensitive
from (select distinct {{ column_name }} as v from {{ model }}) found having count(*) <> count(distinct lower(v))
{% endif %}
{% endtest %}

{% macro _likes(column_name, patterns, negated, match_on) %}
{%- for pattern in patterns %}{{ column_name }} {{ "not " if negated }}like '{{ pattern }}'{{ (" and " if match_on == "all" else " or ") if not loop.last }}{% endfor -%}
{% endmacro %}

{% test expect_column_values_to_match_like_pattern(model, column_name, like_pattern, row_condition=none) %}
{{ dbt_expectations._failing(model, dbt_expectations._likes(column_name, [like_pattern], false, "any"), row_condition) }}
{% endtest %}

{% test expect_column_values_to_not_match_like_pattern(model, column_name, like_pattern, row_condition=none) %}
{{ dbt_expectations._failing(model, dbt_expectations._likes(column_name, [like_pattern], true, "any"), row_condition) }}
{% endtest %}

{% test expect_column_values_to_match_like_pattern_list(model, column_name, like_pattern_list, match_on="any", row_condition=none) %}
{{ dbt_expectations._failing(model, dbt_expectations._likes(column_name, like_pattern_list, false, match_on), row_condition) }}
{% endtest %}

{% test expect_column_values_to_not_match_like_pattern_list(model, column_name, like_pattern_list, match_on="any", row_condition=none) %}
{{ dbt_expectations._failing(model, dbt_expectations._likes(column_name, like_pattern_list, true, match_on), row_condition) }}
{% endtest %}

{% macro _names(model) %}
{%- set names = [] -%}
{%- if execute %}{% for column in adapter.get_columns_in_relation(model) %}{% do names.append(column.name | upper) %}{% endfor %}{% endif -%}
{{ return(names) }}
{% endmacro %}

{% test expect_table_column_count_to_equal(model, value) %}
{%- set found = dbt_expectations._names(model) | length -%}
select {{ found }} as number_actual_columns, {{ value }} as value where {{ found }} <> {{ value }}
{% endtest %}

{% test expect_table_column_count_to_be_between(model, min_value=none, max_value=none) %}
{%- set found = dbt_expectations._names(model) | length -%}
select {{ found }} as number_actual_columns, {{ min_value or 0 }} as min_value, {{ max_value or 0 }} as max_value
where not ({{ dbt_expectations._between(found, min_value, max_value, false) }})
{% endtest %}

{% test expect_table_column_count_to_equal_other_table(model, compare_model) %}
{%- set found, wanted = dbt_expectations._names(model) | length, dbt_expectations._names(compare_model) | length -%}
select {{ found }} as number_columns, {{ wanted }} as compare_number_columns where {{ found }} <> {{ wanted }}
{% endtest %}

{% macro _number_of_rows(rows, names) %}
select {% for name in names %}n as {{ name }}{{ ", " if not loop.last }}{% endfor %} from range({{ rows }}) as wrong(n)
{% endmacro %}

{% test expect_table_columns_to_contain_set(model, column_list) %}
{%- set names = dbt_expectations._names(model) -%}
{{ dbt_expectations._number_of_rows(column_list | map("upper") | reject("in", names) | list | length, ["input_column", "relation_column"]) }}
{% endtest %}

{% test expect_table_columns_to_not_contain_set(model, column_list) %}
{%- set names = dbt_expectations._names(model) -%}
{{ dbt_expectations._number_of_rows(column_list | map("upper") | select("in", names) | list | length, ["input_column", "relation_column"]) }}
{% endtest %}

{% test expect_table_columns_to_match_set(model, column_list) %}
{%- set names = dbt_expectations._names(model) -%}
{%- set wanted = column_list | map("upper") | list -%}
{%- set found = (wanted | reject("in", names) | list | length) + (names | reject("in", wanted) | list | length) -%}
{{ dbt_expectations._number_of_rows(found, ["relation_column", "input_column"]) }}
{% endtest %}

{% test expect_table_columns_to_match_ordered_list(model, column_list) %}
{%- set names = dbt_expectations._names(model) -%}
{%- set wanted = column_list | map("upper") | list -%}
{%- set alike = [] -%}
{%- for name in names %}{% if loop.index0 < wanted | length and wanted[loop.index0] == name %}{% do alike.append(1) %}{% endif %}{% endfor -%}
{%- set columns = ["relation_column_idx", "relation_column", "input_column_idx", "input_column"] -%}
{{ dbt_expectations._number_of_rows((wanted | length) + (names | length) - 2 * (alike | length), columns) }}
{% endtest %}

{% test expect_column_median_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._aggregate(model, dbt_expectations._between("median(" ~ column_name ~ ")", min_value, max_value, strictly), group_by, row_condition) }}
{% endtest %}

{% test expect_column_quantile_values_to_be_between(model, column_name, quantile, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._aggregate(model, dbt_expectations._between("quantile_cont(" ~ column_name ~ ", " ~ quantile ~ ")", min_value, max_value, strictly), group_by, row_condition) }}
{% endtest %}

{% test expect_column_stdev_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations._aggregate(model, dbt_expectations._between("stddev_samp(" ~ column_name ~ ")", min_value, max_value, strictly), group_by, row_condition) }}
{% endtest %}

{% test expect_column_values_to_be_within_n_stdevs(model, column_name, group_by=none, sigma_threshold=3) %}
{%- set name = column_name -%}
select *, ({{ name }} - {{ name }}_average) / nullif({{ name }}_stddev, 0) as {{ name }}_sigma from (
    select *, avg({{ name }}) over () as {{ name }}_average, stddev_samp({{ name }}) over () as {{ name }}_stddev
    from (
        select {{ group_by | join(", ") ~ "," if group_by }} sum({{ name }}) as {{ name }}
        from {{ model }} {% if group_by %}group by {{ group_by | join(", ") }}{% endif %}
    ) sums
) scored where abs({{ name }}_sigma) > {{ sigma_threshold }}
{% endtest %}

{#- As published: a sum of 0 counts as 1 where logarithms are taken, and what has none before it as no change from 0. -#}
{% macro _measured(number, take_logs) %}coalesce({{ "ln(nullif(" ~ number ~ ", 0))" if take_logs else number }}, 0){% endmacro %}

{% test expect_column_values_to_be_within_n_moving_stdevs(model, column_name, date_column_name, group_by=none, period="day", lookback_periods=1, trend_periods=7, test_periods=14, sigma_threshold=3, sigma_threshold_upper=none, sigma_threshold_lower=none, take_diffs=true, take_logs=true) %}
{%- set groups = group_by | join(", ") ~ "," if group_by else "" -%}
{%- set series = "partition by " ~ group_by | join(", ") if group_by else "" -%}
{%- set before = series ~ " order by metric_period rows between " ~ trend_periods ~ " preceding and 1 preceding" -%}
{%- set this_period = "date_trunc('" ~ period ~ "', now()::timestamp)" -%}
with sums as (
    select date_trunc('{{ period }}', {{ date_column_name }}) as metric_period, {{ groups }} sum({{ column_name }}) as agg_metric_value
    from {{ model }} group by all
), priors as (
    select * {% if take_diffs %}, lag(agg_metric_value, {{ lookback_periods }}) over ({{ series }} order by metric_period) as prior_agg_metric_value{% endif %}
    from sums
), measured as (
    select *, {{ dbt_expectations._measured("agg_metric_value", take_logs) }}
        {{ "- " ~ dbt_expectations._measured("prior_agg_metric_value", take_logs) if take_diffs }} as metric_test_value
    from priors
), moving as (
    select *, avg(metric_test_value) over ({{ before }}) as metric_test_rolling_average,
        stddev_samp(metric_test_value) over ({{ before }}) as metric_test_rolling_stddev
    from measured
), scored as (
    select *, metric_test_value - metric_test_rolling_average as metric_test_delta,
        metric_test_delta / nullif(metric_test_rolling_stddev, 0) as metric_test_sigma
    from moving
)
select * from scored
where metric_period >= {{ this_period }} - interval '1 {{ period }}' * {{ test_periods }} and metric_period < {{ this_period }}
and not metric_test_sigma between {{ sigma_threshold_lower or -sigma_threshold }} and {{ sigma_threshold_upper or sigma_threshold }}
{% endtest %}

{#- As published: of a decreasing order the groups are not among the columns. -#}
{% macro _in_order(model, column_name, sort_column, strictly, row_condition, group_by, step, up) %}
{%- set shown = group_by | join(", ") ~ "," if group_by and up else "" -%}
select * from (
    select {{ sort_column or column_name }} as sort_column, {{ shown }} {{ column_name }} as value_field, lag({{ column_name }}) over (
        {% if group_by %}partition by {{ group_by | join(", ") }}{% endif %} order by {{ sort_column or column_name }}) as value_field_lag
    from {{ model }} where {{ row_condition or "true" }}
) ordered
where value_field_lag is not null and not (
    {{ "value_field" if up else "value_field_lag" }} {{ ">" if strictly else ">=" }} {{ "value_field_lag" if up else "value_field" }}
    {% if step %}and {{ "value_field - value_field_lag" if up else "value_field_lag - value_field" }} = {{ step }}{% endif %}
)
{% endmacro %}

{% test expect_column_values_to_be_increasing(model, column_name, sort_column=none, strictly=true, row_condition=none, group_by=none, step=none) %}
{{ dbt_expectations._in_order(model, column_name, sort_column, strictly, row_condition, group_by, step, true) }}
{% endtest %}

{% test expect_column_values_to_be_decreasing(model, column_name, sort_column=none, strictly=true, row_condition=none, group_by=none, step=none) %}
{{ dbt_expectations._in_order(model, column_name, sort_column, strictly, row_condition, group_by, step, false) }}
{% endtest %}
