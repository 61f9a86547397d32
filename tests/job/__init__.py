"""The main job, seen from outside: the installed packages in the booted machine, real systemd, real llama-server."""
