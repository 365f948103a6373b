"""This module holds the errors that the service raises; none knows HTTP, see ``routes/errors.py`` for that.

ServiceError
├── InvalidRequest        the client sent what can't be answered
│   └── RequestTooLarge   more bytes than are taken
├── UnsupportedEncoding   the body is encoded in a way that is not read here
├── Conflict              what is asked does not go with what there is
├── NotFound              no model, version or layer of this name
├── NotReady              it is known, but not served now
├── Overloaded            too much waits already
├── DeadlineExceeded      no answer within the time that the client or the server gives it
├── ClientGone            the client went before it was answered
├── ControlRefused        clients may not change what is served
├── StoreUnwritable       the store can't be written to
├── HistoryUnavailable    the database of the history can't be reached, or is damaged
├── AddressError          the address that was asked for can't be listened on
├── DeviceError           the device that was asked for is not there
├── TracingError          traces that were asked for can't be made
├── WorkerError           the processes that were asked for can't serve
└── EngineError           a graph can't be loaded, fails its self-test, or fails while it runs
"""


class ServiceError(Exception):
    """What every error of this package is; its text is one sentence for people."""


class InvalidRequest(ServiceError):
    """The client sent what can't be answered; the text names the field, what was expected, what came."""


class RequestTooLarge(InvalidRequest):
    """More bytes than are taken."""


class UnsupportedEncoding(ServiceError):
    """The body is encoded in a way that is not read here."""


class Conflict(ServiceError):
    """What is asked does not go with what there is."""


class NotFound(ServiceError):
    """There is no model, version or layer of this name."""


class NotReady(ServiceError):
    """It is known, but not served now."""


class Overloaded(ServiceError):
    """Too much waits already.

    Args:
        message: One sentence for people.
        retry_after_s: When it is worth trying again, in seconds from now.
    """

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(ServiceError):
    """There is no answer within the time that the client or the server gives it."""


class ClientGone(ServiceError):
    """The client went before it was answered; nobody reads this, it is counted."""


class ControlRefused(ServiceError):
    """Clients may not change what is served."""


class StoreUnwritable(ServiceError):
    """The store can't be written to."""


class HistoryUnavailable(ServiceError):
    """The database of the history can't be reached, does not answer in time, or is damaged.

    Args:
        message: One sentence for people.
        outcome_known: False where the database was lost while it committed, so that it may have done so or not.
    """

    def __init__(self, message: str, *, outcome_known: bool = True) -> None:
        super().__init__(message)
        self.outcome_known = outcome_known


class AddressError(ServiceError):
    """The address that was asked for can't be listened on."""


class DeviceError(ServiceError):
    """The device that was asked for is not there."""


class TracingError(ServiceError):
    """Traces that were asked for can't be made."""


class WorkerError(ServiceError):
    """The processes that were asked for can't serve."""


class EngineError(ServiceError):
    """A graph can't be loaded, fails its self-test, or fails while it runs."""
