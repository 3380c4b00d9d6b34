from typing import get_args

from cxrflow.last_words import FIRST_LOOK
from cxrflow.report.opening import SYSTEMS
from cxrflow.settings import System


def test_every_system_is_told_of_and_has_something_to_look_at():
    assert set(SYSTEMS) == set(get_args(System))
    assert set(get_args(System)) <= {name.split("/")[0] for name in FIRST_LOOK}
