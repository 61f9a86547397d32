"""The configuration: `load()` turns /etc/swapper/*.yaml into one frozen `Config`, or names every mistake at once.

Fast to import and without a server's libraries: systemd waits for the generator, which reads it too, at each
daemon-reload.
"""

from swapper.config.errors import ConfigError, ConfigErrors
from swapper.config.read import LAST_GOOD, default_paths, load, load_last_good
from swapper.config.settings import (
    GATES_DIR,
    MODELS_DIR,
    Bytes,
    Config,
    EngineSettings,
    Filters,
    GpuSettings,
    Group,
    KeySettings,
    Location,
    Media,
    Memory,
    Model,
    Profile,
    RouterSettings,
    Rule,
    Share,
)

__all__ = [
    "GATES_DIR",
    "LAST_GOOD",
    "MODELS_DIR",
    "Bytes",
    "Config",
    "ConfigError",
    "ConfigErrors",
    "EngineSettings",
    "Filters",
    "GpuSettings",
    "Group",
    "KeySettings",
    "Location",
    "Media",
    "Memory",
    "Model",
    "Profile",
    "RouterSettings",
    "Rule",
    "Share",
    "default_paths",
    "load",
    "load_last_good",
]
