"""Where runs are kept: ports that name what is needed, and one folder a database that provides it."""
