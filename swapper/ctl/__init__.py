"""`swapperctl`: the command line for administrators."""
