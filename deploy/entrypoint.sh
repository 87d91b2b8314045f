# Every container makes its own instance folder from the catalog and the environment; the databases are shared.
set -eu
beacon instance init
exec "$@"
