"""This package measures folding, over many architectures: whether it is right, and what it gains.

    python -m benchmarks.folding verify     both modes against torch, every output and every tap
    python -m benchmarks.folding speed      against torch's own export
    python -m benchmarks.folding bounds     against networks without normalization layers, where others do not fold
    python -m benchmarks.folding rules      what each way of writing a layer costs that can't be folded
    python -m benchmarks.folding page       one page of the results that are there

A run measures one case after the other, each in a process of its own, and prints or writes a section in Markdown. With
``--results FILE`` every result is kept there as one line of JSON; what is there already is not measured again.

    architectures.py    the networks; statistics.py gives them statistics
    exports.py          the graphs that are compared
    timing.py           several graphs, run in turn
    verify.py, speed.py, bounds.py, rules.py    one command each
    command.py, results.py, markdown.py         what the commands share
"""
