"""This module is what the page of the recalibration study says around its tables."""

from __future__ import annotations

TITLE = """# Recalibration, measured

What [recalibration](recalibration.md) without labels brings back of the accuracy that corrupted images take. The
network is a ConvNet of four convolutions, fitted to MNIST and nothing else. One half of MNIST's test file, at random,
is there to recalibrate on, the other to take accuracies on: no row is in both. Accuracies are the folded graph's, under
ONNX Runtime. `FOLDER` holds MNIST's four files as published, gzipped or not.
"""

READING = """### How to read it

`n=32, N=16` is: recalibrated on 32 unlabelled rows, with the source's statistics counted as 16 further ones. With no
prior (`N=0`) at least 32 rows are asked for, so there is no such column for 8. `recovered` is the share of the lost
accuracy that came back, `(after - before) / (clean - before)`, with {most} rows and no prior; it is told where at least
{lost:.0%} were lost. Where recalibration is refused, the version before goes on, and its accuracy counts.

Every figure is the mean of {draws} draws of the rows; their standard deviation is {spread_few:.1%} for {few} rows and
{spread_most:.1%} for {most}, averaged over the corruptions. {scored:,} rows are judged, the same before and after.

### Where it helps, and where it does not

- **Noise, blur, contrast and brightness** move the mean and the variance of what the filters give. Putting those right
  is all that recalibration does, and it is most of what is wrong.
- **Rotation and shift** move where things are, and hardly what a channel's values are like. Statistics can't say that a
  digit hangs askew: {geometry:.0%} of what these two take comes back, {others:.0%} of what the other four do.
- **Where little is lost, little is to be won**, and few rows may cost more than they bring. Averaged over what takes
  less than {lost:.0%}, an accuracy of {harmless_before:.1%} becomes {harmless_few:.1%} with {few} rows and a prior of
  16, and {harmless_most:.1%} with {most} rows and none.
- **The network is brittle**, more than one would be that was fitted to noisy or grey images: MNIST's background is
  exactly black. So there is much to bring back. Of a network that was made robust less is lost, and less comes back: in
  Schneider et al. (2020) the error of ResNet-50 on corrupted ImageNet falls from 76.7 to 62.2, that of ResNet-50 with
  DeepAugment and AugMix from 53.6 to 45.4 (mCE).
- **Where rows are of few classes**, the statistics follow the classes, which is harm: the last table. More rows do not
  help; a prior does, a little, where nothing else has moved. {refused_few_classes} of these recalibrations was refused:
  for the rows themselves as many classes are predicted as before. Only accuracies on other rows tell.
- **All rows of a run are of one corruption.** A mix of them was not measured.

### Which prior

{prior}

A prior draws towards statistics that are wrong by as much as the data has moved. It pays where rows are few and data
has moved little, and it is the only way with fewer than 32; the stronger the corruption, the more harm it keeps. From
128 rows on it makes hardly any difference.
"""
