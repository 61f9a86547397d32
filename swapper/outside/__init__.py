"""Fetching what somebody names by URL: from addresses that may be, over connections to those very addresses."""
