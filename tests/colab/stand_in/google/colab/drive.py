"""A stand-in for `google.colab.drive`: the reader's Drive is a folder that the test gives."""

import os
from pathlib import Path


def mount(mountpoint: str) -> None:
    """Makes the Drive appear as `mountpoint`/MyDrive; a second time nothing happens, as on Colab.

    Raises:
        ValueError: the mount point cannot be used, in Colab's words.
    """
    place = Path(mountpoint)
    if " " in mountpoint:
        raise ValueError("Mountpoint must not contain a space.")
    if (place / "MyDrive").exists():
        print(f"Drive already mounted at {mountpoint}; to attempt to forcibly remount, call drive.mount(…).")
        return
    if place.exists() and any(place.iterdir()):
        raise ValueError("Mountpoint must not already contain files")
    place.mkdir(exist_ok=True)
    (place / "MyDrive").symlink_to(os.environ["STAND_IN_DRIVE"], target_is_directory=True)
    print(f"Mounted at {mountpoint}")
