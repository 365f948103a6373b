"""This package keeps what the layers saw in a database: windows, their exact roll-ups, and how they are read again."""
