"""Dead letters and their replay, as operations staff see and do it."""
