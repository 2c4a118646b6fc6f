"""Settings of the test suite: every run draws the same examples."""

import os
import signal

from hypothesis import HealthCheck, settings

settings.register_profile(
    "faltung",
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("faltung")

# readline, which pytest loads, exports it to the processes that share the tests
os.environ.pop("COLUMNS", None)

# a shell has what runs in its background ignore Ctrl-C, which tests send
signal.signal(signal.SIGINT, signal.default_int_handler)
