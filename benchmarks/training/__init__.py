"""This package measures training, beside a loop that is written by hand in plain torch.

python -m benchmarks.training fit --rounds 5    how fast a fit is
python -m benchmarks.training page              the page of the results that are there

cases.py           networks, data and recipes
hand_written.py    the loop that a fit is compared with
fit.py             both, in turn
"""
