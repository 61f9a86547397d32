"""What `swapperctl doctor` looks at: a file for each kind of thing that goes wrong; `command.py` asks them all."""
