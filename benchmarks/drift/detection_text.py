"""This module is what the page of the detection study says around its tables."""

from __future__ import annotations

TITLE = """# Drift, detected

How often detectors notice that data has moved, at the same rate of false alarms. The network is a ConvNet of four
convolutions, fitted to MNIST; the data is MNIST rows that it was not fitted to, corrupted more and more, and others.
"""

READING = """## How to read it

A detector gives every window of rows a score, and raises an alarm where that is above a threshold. It is calibrated:
{share:.0%} of {calibration:,} windows of held-out rows that have not moved are above it. So no detector is judged by
its scale, nor by what its p-values take for granted. A rate is the share of {windows} windows of other held-out rows
that raise an alarm, the same windows for all detectors; its standard error is at most {error:.1%}. The row `{unmoved}`
is the rate of false alarms that a detector really has there, where {share:.0%} were asked for. The larger the windows,
the less the two need agree: thresholds are set on some thousand rows, of which the windows overlap.

- **KS** compares each feature's distribution with the reference's by the Kolmogorov-Smirnov statistic, and the largest
  decides: `KSDrift` of alibi-detect, with the threshold calibrated instead of Bonferroni's.
- **MMD** compares all features at once by the kernel `exp(-|x - y|^2 / m)`, where `m` is the median of squared
  distances: `MMDDrift` of alibi-detect, with the threshold calibrated instead of found by permutations.
- **normalization** is this project's: the largest score of any normalization layer, or of the input where it has
  [atoms](drift.md#atoms-of-the-inputs), from what the service keeps of every window anyway ([drift](drift.md)).
  **its layers alone** is the same without the input.
- **inputs** are the 784 pixels; **hidden** is what the network's last layer takes, after the average over the image.

All detectors keep the same {reference:.0%} of MNIST's training file as their reference. The network saw none of these
rows, nor of those that thresholds are set on or that are looked at.

MNIST's background is exactly black. On the grainy ground black is 0.3 and white 0.8, and every pixel of every image
has normal noise of 0.05 of its own, in training too: the network is another one, fitted to such images. What is called
noise there comes on top. What rotation and shift let in at the edges is black, as on MNIST's own ground, so that there
everyone notices them: those rows say little on the grainy ground.

The folders hold the files as published, gzipped or not; Fashion-MNIST is Debian's package `dataset-fashion-mnist`.

## What is to be seen

- **normalization notices nearly all that was done to images**: 100.0 % of all windows on black, 98.4 % on the grainy
  ground, the mildest strengths included. The best of the others notices 99.3 % on black (KS on inputs) and 87.6 % on
  the grainy ground (MMD on inputs).
- **Its layers alone notice the same on both grounds**, 98.5 % and 98.4 %. All that they miss is the blur of 0.3, which
  costs the network nothing, in windows of 32 and 128 rows. On black the input tells of it: pixels beside a stroke are
  no longer exactly 0, and how many are is watched ([atoms](drift.md#atoms-of-the-inputs)). On the grainy ground no
  pixel is anything exactly, and the input has no atoms.
- **They name where it starts.** What is done to the input shows in the first layer; other writers show there mostly,
  and now and then only behind it.
- **From the third strength on everyone notices everything** in windows of 128 rows. What tells detectors apart is the
  mildest two strengths, and how many rows it takes.
- **KS on inputs notices nearly everything on black, and owes it to MNIST.** A contrast of 0.97 makes the background
  0.004, a noise of 0.02 makes half of it more than 0: to a statistic of ranks the least step away from such a tie is as
  large as any. On the grainy ground, where there are no ties, it does no better than the others.
- **MMD on inputs sees what moves many pixels far**: shift, and rotation. On black it hardly sees noise, brightness or
  contrast while they are small beside the distance between two digits, though they may cost the network accuracy; on
  the grainy ground it sees contrast sooner than the others do.
- **The last layer sees what matters to the network.** On black both detectors notice noise of 0.05 and brightness of
  0.02 in every window of 32 rows, which take 8 and 6 points of its accuracy
  ([recalibration results](recalibration-results.md)), and do not notice a blur of 0.3, which takes nothing.
- **Other writers are drift that no one made**: pixels show it, in nearly every window of 512 rows; the last layer less
  often.
"""
