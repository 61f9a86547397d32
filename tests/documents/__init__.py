"""Pages of the manual: there are all of them, and what they name exists."""
