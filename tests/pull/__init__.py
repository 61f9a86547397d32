"""Pulls without systemd: what is chosen, how pieces come together, and the hub's library at a hub on loopback."""
