"""What becomes of the packages on their way to a user, in a Debian 14 that has none of them yet."""
