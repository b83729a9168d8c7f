"""What all tests share: no network, no display, the same random examples every time."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import hypothesis
import matplotlib

matplotlib.use("Agg")
hypothesis.settings.register_profile("series", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.load_profile("series")
