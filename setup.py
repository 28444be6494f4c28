"""Maps the folders at the top of the tree to packages: `server/` is imported as `cosyserve.server`."""

from setuptools import find_packages, setup

FOLDERS = ("protocol", "engine", "server", "clients", "benchmarks", "training")

setup(
    packages=[
        "cosyserve",
        *(f"cosyserve.{top}" for top in FOLDERS),
        *(f"cosyserve.{top}.{name}" for top in FOLDERS for name in find_packages(top)),
    ],
    package_dir={
        "cosyserve": "src/cosyserve",
        **{f"cosyserve.{top}": top for top in FOLDERS},
    },
)
