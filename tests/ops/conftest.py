"""The test time and the team's database of the sync's tests."""

from tests.sync.conftest import team as team
from tests.sync.conftest import time as time
