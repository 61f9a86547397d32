"""The front end on port 8000: reads requests, asks the scheduler, forwards bytes."""
