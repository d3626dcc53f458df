"""What holds for every test: a property is judged by its law, never by how busy the machine is."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has one core: threads of several would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when NumPy and torch are loaded, here and in children

from hypothesis import settings

settings.register_profile("jali", deadline=None)
settings.load_profile("jali")
