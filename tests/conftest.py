"""Property tests try the same cases in every run, so that a run that passed passes again.

`pytest --hypothesis-profile=search` draws new ones: what it finds becomes a test of its own.
"""

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("search", settings.get_profile("default"))
settings.load_profile("same")
