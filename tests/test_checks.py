from __future__ import annotations

import numpy as np
import pytest

from pellucid.checks import check_choice, check_integer
from pellucid.errors import OptionError


@pytest.mark.parametrize("value", [1, 0, "True", np.True_])
def test_equal_values_of_other_types_are_not_choices(value):
    with pytest.raises(OptionError, match="is not one of None, True, False"):
        check_choice("normalize", value, (None, True, False))


def test_numpy_integers_are_whole_numbers():
    assert type(check_integer("k", np.int64(5), 1, 5, "from 1 to 5")) is int


@pytest.mark.parametrize("value", [0, 17, -1, 2.0, True, "5", None])
def test_anything_but_a_whole_number_in_the_range_is_refused(value):
    with pytest.raises(OptionError, match=r"truncate_dim=.* must be a whole number from 1 to 16\.$"):
        check_integer("truncate_dim", value, 1, 16, "from 1 to 16")
