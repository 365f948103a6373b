"""This package is HTTP and nothing else: each route asks the rooms below, and writes down what they say."""
