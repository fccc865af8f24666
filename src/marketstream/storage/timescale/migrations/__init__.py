"""The database's migrations: plain SQL under `sql/`, in the order of `versions/`."""
