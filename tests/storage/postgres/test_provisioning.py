"""``db schema`` prints SQL on machines without the PostgreSQL driver."""

import subprocess
import sys

_WITHOUT_DRIVER = """
import sys
sys.modules["asyncpg"] = None
from acode_tui.storage.postgres.provisioning import provisioning_sql
print(len(provisioning_sql()))
"""


def test_the_sql_is_printed_without_the_driver() -> None:
    printed = subprocess.run([sys.executable, "-c", _WITHOUT_DRIVER], capture_output=True, text=True, check=True)
    assert int(printed.stdout) > 1_000
