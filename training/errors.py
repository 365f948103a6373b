"""This module holds the errors that training raises itself; those of folding are in ``folding/errors.py``.

TrainingError
├── RecipeError         a recipe or an argument asks for what there is not
├── DivergenceError     the loss of a fit is no number any more
├── DataError           data can't be read, or can't be fitted to
├── CheckpointError     a file of parameters does not fit the network
├── StatisticsError     population statistics can't be estimated
├── ExportError         the network can't be turned into a graph
├── ImportingError      an ONNX file can't be taken in
├── JobError            a job's folder can't be used as asked
│   └── JobHeld         another process works in it
└── StudyError          a study can't be run, or its page not be written
"""


class TrainingError(Exception):
    """What every error of this package is; its text is one sentence for people."""


class RecipeError(TrainingError):
    """A recipe or an argument asks for what there is not."""


class DivergenceError(TrainingError):
    """The loss of a fit became NaN or infinite."""


class DataError(TrainingError):
    """Data can't be read, or can't be fitted to."""


class CheckpointError(TrainingError):
    """A file of parameters can't be read, or does not fit the network."""


class StatisticsError(TrainingError):
    """Population statistics can't be estimated."""


class ExportError(TrainingError):
    """The network can't be turned into a graph."""


class ImportingError(TrainingError):
    """An ONNX file can't be taken in."""


class JobError(TrainingError):
    """A job's folder can't be used as asked: another job is unfinished there, or it can't be written to."""


class JobHeld(JobError):
    """Another process works in the job's folder."""


class StudyError(TrainingError):
    """A study can't be run, or its page not be written."""
