"""Random examples: the same in every `make test`, fresh ones in `make regress`."""

from hypothesis import settings

# `print_blob`: a failure prints the @reproduce_failure line that runs its example again anywhere.
settings.register_profile("test", derandomize=True, print_blob=True, deadline=None)
settings.register_profile("regress", derandomize=False, print_blob=True, deadline=None)
settings.load_profile("test")
