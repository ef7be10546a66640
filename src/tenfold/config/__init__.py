"""The settings of every job: one schema, which job files, forms, the manual and the help are made from."""

from tenfold.config.compress import CompressSettings
from tenfold.config.files import job_settings, read_toml
from tenfold.config.learn import LearnSettings
from tenfold.config.network import InspectSettings, NetworkSettings
from tenfold.config.schema import Setting, settings_of
from tenfold.config.training import TrainingSettings

__all__ = [
    "CompressSettings",
    "InspectSettings",
    "LearnSettings",
    "NetworkSettings",
    "Setting",
    "TrainingSettings",
    "job_settings",
    "read_toml",
    "settings_of",
]
