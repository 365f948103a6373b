"""This package turns tensors into tensors: devices, sessions, and the models in memory; it knows no HTTP."""
