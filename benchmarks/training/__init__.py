"""This package measures training: what it costs beside a loop that is written by hand, and what it survives.

python -m benchmarks.training fit --rounds 5       how fast a fit is
python -m benchmarks.training page                 the page of the results that are there
python -m benchmarks.training kill --rounds 20     what comes of jobs that are killed at random moments

cases.py           networks, data and recipes
hand_written.py    the loop that a fit is compared with
fit.py             both, in turn
kill.py            jobs, and what kills them; kill_page.py writes what came of it
"""
