"""This package kills who writes the history, and the databases that keep it, and looks at what is left."""
