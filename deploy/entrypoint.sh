# Every container makes its own instance folder from the catalog and the environment; the databases are shared.
# Without that variable the instance is not ours to make: Dagster's Helm chart mounts its dagster.yaml.
set -eu
if [ -n "${DAGSTER_POSTGRES_URL:-}" ]; then
    beacon instance init
fi
exec "$@"
