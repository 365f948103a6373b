"""This module holds the errors that folding raises.

GraphError
├── FoldingError         a layer's figures can't be folded
├── TensorError          an input or output can't be served
│   └── BatchAxisError   it has no first axis that follows the rows
├── RowsError            rows can't be read, or are none that the graph takes
├── VerificationError    the graph does not compute the function of what it came from
├── CalibrationError     scores of layers can't be calibrated by the rows that there are
└── RecalibrationError   statistics can't be re-estimated, or should not be
"""


def one_line(error: Exception) -> str:
    """The text of somebody else's error, in one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


class GraphError(Exception):
    """What every error of this package is; its text is one sentence for people."""


class FoldingError(GraphError):
    """A layer's figures can't be folded."""


class TensorError(GraphError):
    """An input or output of a graph can't be served."""


class BatchAxisError(TensorError):
    """An input or output has no first axis that follows the rows."""


class RowsError(GraphError):
    """Rows can't be read, or are none that a graph takes."""


class VerificationError(GraphError):
    """A graph does not compute the function of what it came from."""


class CalibrationError(GraphError):
    """Scores of layers can't be calibrated by the rows that there are."""


class RecalibrationError(GraphError):
    """Statistics can't be re-estimated from the rows that there are, or should not be."""
