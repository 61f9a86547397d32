"""Who answers: what a chat asks goes in, events of the answer come out (`base.py`)."""
