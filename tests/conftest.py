"""What holds for every test: a property is judged by its law, never by how busy the machine is."""

from hypothesis import settings

settings.register_profile("jali", deadline=None)
settings.load_profile("jali")
