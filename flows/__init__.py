"""The flows. Importing them points Prefect to this checkout's server and turns its telemetry off."""

from components.core import settings

settings.silence_telemetry()
settings.point_prefect_here()
