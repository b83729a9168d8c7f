"""What all tests share: no network, no display, the same random examples every time."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports a hub's library
# Before anything imports torch: threads that wait for each other do not spin. Where tests run side by side,
# one that spins takes the processor from the one that it waits for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hypothesis
import matplotlib
import pytest
import torch

from helpers.settings import Settings
from tests.micro import MICRO, workshop
from tests.tiny import counting_rows

matplotlib.use("Agg")
hypothesis.settings.register_profile("series", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.load_profile("series")


@pytest.fixture(scope="session")
def blocks():
    """Rows that count upwards, for a tiny model."""
    return counting_rows()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder whose artifacts are those of one test file, in one process of a speed that stays the same."""
    place = tmp_path_factory.mktemp("experiment")
    with workshop(place / "artifacts"):
        yield place


@pytest.fixture(scope="module")
def settings(folder) -> Settings:
    """The micro scale on the world."""
    return Settings(MICRO, out=folder / "out")


@pytest.fixture
def one_thread():
    """Sums of floats depend on how many threads share them; a worker beside another one has one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_make_parametrize_id(val):
    """Names no bytes: packed ones hold a time, and all workers have to find the same tests."""
    return "bytes" if isinstance(val, bytes) else None
