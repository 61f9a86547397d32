"""What runs on Debian 13, in a machine of its own."""
