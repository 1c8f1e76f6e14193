"""How many examples a fuzzed test looks at: some in every run, very many in `make fuzz`."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

PROFILE = settings.get_current_profile_name()  # pytest --hypothesis-profile teehee-long
EXAMPLES = settings.get_profile(PROFILE if PROFILE.startswith("teehee-") else "teehee-ci").max_examples
IS_LONG = EXAMPLES > 5_000
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def share(part: float) -> settings:
    """A part of the examples there are to look at."""
    return settings(max_examples=max(1, int(EXAMPLES * part)), deadline=None, suppress_health_check=SLOW)


def fuzzed(examples: int = 150) -> Callable[[Any], Any]:
    """For parsers: so many examples in every run, and all there are in a long one."""
    return settings(max_examples=EXAMPLES if IS_LONG else examples, deadline=None, suppress_health_check=SLOW)
