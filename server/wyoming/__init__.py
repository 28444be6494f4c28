"""Wyoming's port: plain TCP, with the limits of every other door."""
