"""What systemd hands to this service and to nobody else: systemd.exec(5), "Credentials"."""

import os
from pathlib import Path


def read(prefix: str) -> dict[str, bytes]:
    """The credentials whose names begin so, by name; decrypted, where they lie encrypted.

    Raises:
        OSError: There is one, and it cannot be read. Nobody should go on then as if there were none.
    """
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory or not Path(directory).is_dir():
        return {}
    return {path.name: path.read_bytes() for path in Path(directory).iterdir() if path.name.startswith(prefix)}
