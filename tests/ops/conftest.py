"""The sync's test time and database, for what is done with them here."""

from tests.sync.conftest import team as team
from tests.sync.conftest import time as time
