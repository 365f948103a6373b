"""This module holds the errors that training raises.

TrainingError
├── RecipeError         a recipe or an argument asks for what there is not
├── CheckpointError     a file of parameters does not fit the network
├── StatisticsError     population statistics can't be estimated
├── FoldingError        a layer's figures can't be folded
├── ExportError         the network can't be turned into a graph
├── ImportingError      an ONNX file can't be taken in
└── VerificationError   the graph does not compute the network's function
"""


def one_line(error: Exception) -> str:
    """The text of somebody else's error, in one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


class TrainingError(Exception):
    """What every error of this package is; its text is one sentence for people."""


class RecipeError(TrainingError):
    """A recipe or an argument asks for what there is not."""


class CheckpointError(TrainingError):
    """A file of parameters can't be read, or does not fit the network."""


class StatisticsError(TrainingError):
    """Population statistics can't be estimated."""


class FoldingError(TrainingError):
    """A layer's figures can't be folded."""


class ExportError(TrainingError):
    """The network can't be turned into a graph."""


class ImportingError(TrainingError):
    """An ONNX file can't be taken in."""


class VerificationError(TrainingError):
    """The graph does not compute the network's function."""
