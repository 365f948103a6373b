"""This package measures what becomes of a network when its data moves: whether it is noticed, and whether it is mended.

    python -m benchmarks.drift recalibration --mnist FOLDER    accuracy before and after recalibration (13 minutes)
    python -m benchmarks.drift detection --mnist FOLDER --fashion FOLDER    how often drift is noticed (15 minutes)
    python -m benchmarks.drift detection --ground grainy ...    the same where no background is exactly black
    python -m benchmarks.drift page    docs/recalibration-results.md and docs/drift-results.md

A folder holds the four files of MNIST, or of Fashion-MNIST, as published, gzipped or not. The network is fitted on the
first run (two minutes) and kept under ``runs/drift/``, as are all results, a line of JSON each: what is there already
is not measured again.

    idx.py, data.py     the data, in parts that share no row
    corruptions.py      what moves it; grounds.py is what it stands on
    network.py          what it is given to; graphs.py runs it
    recalibration.py    one study; recalibration_page.py and recalibration_text.py are its page
    detection.py        the other; detection_page.py and detection_text.py are its page
    detectors/          what is compared there; windows.py cuts rows for them, thresholds.py sets them equal
"""
