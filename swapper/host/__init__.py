"""The operating system: units over D-Bus, the journal, sockets handed over by systemd, notifications, GPUs.

Rule of this room: one interface of the system per file, and nothing decided. `units.py` is the only importer of
pydbus and gi, `journal.py` of systemd's journal. What they cannot do they say as a `core.model.Failure`.
"""
