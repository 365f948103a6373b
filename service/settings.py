"""This module is every setting of the service, once: as a flag, as an environment variable, and documented.

``max_request_bytes`` is the flag ``--max-request-bytes`` and the variable ``BNSERVE_MAX_REQUEST_BYTES``; where both
are given the flag wins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.inference.versions import parse_policies
from service.normalization.history import refuse_unknown_url


def _policies(text: str) -> str:
    parse_policies(text)
    return text


def _history_url(text: str) -> str:
    refuse_unknown_url(text)
    return text


class Settings(BaseSettings):
    """Serve bundles over HTTP. Every flag is also a variable: --port is BNSERVE_PORT. --version prints the version."""

    model_config = SettingsConfigDict(
        env_prefix="BNSERVE_", frozen=True, extra="forbid", cli_prog_name="bnserve", cli_kebab_case=True
    )

    store: Annotated[Path, Field(description="Where the bundles live: STORE/MODEL/VERSION.")] = Path("models/store")
    host: Annotated[str, Field(description="Address to listen on; 0.0.0.0 for every one this machine has.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8000
    workers: Annotated[int, Field(ge=1, le=256, description="Processes that serve; each holds every model.")] = 1
    device: Annotated[
        str,
        Field(description="auto, cpu, cuda, cuda:N, tensorrt or tensorrt:N; auto takes a GPU where one can be used."),
    ] = "auto"
    threads: Annotated[
        int,
        Field(ge=0, description="Threads of one run of a model; 0 takes the CPUs of this process, by their quota."),
    ] = 0
    inline_below_ms: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False, description="Runs shorter than this stay on the event loop; 0 for none."),
    ] = 0.5
    warm_up_s: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False, description="How long a version may try larger batches before it is ready."),
    ] = 1.0
    versions: Annotated[
        str,
        AfterValidator(_policies),
        Field(description="Which versions are loaded: all, latest:N or 1,3; by model as in latest:2;digits=all."),
    ] = "latest:2"
    repository_control: Annotated[
        bool,
        Field(
            description="Whether clients may load, promote and recalibrate; with --no-repository-control they get 403."
        ),
    ] = True
    max_batch_rows: Annotated[int, Field(ge=1, description="Most rows of one run of a model.")] = 64
    max_batch_delay_ms: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False, description="How long a row waits for company while the model is idle."),
    ] = 0.0
    max_queue_requests: Annotated[
        int, Field(ge=1, description="Requests that wait for one model; further ones are refused at once.")
    ] = 256
    queue_full_status: Annotated[
        Literal["429", "503"], Field(description="Status of a refusal because too much waits.")
    ] = "429"
    request_timeout_ms: Annotated[
        int, Field(ge=0, description="A request not answered by then is answered with 504; 0 for no limit.")
    ] = 30_000
    refresh_interval_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="How often to look at the store where its file system does not tell of changes.",
        ),
    ] = 2.0
    max_request_bytes: Annotated[int, Field(gt=0, description="Larger bodies are refused with 413.")] = 64 * 2**20
    max_json_bytes: Annotated[int, Field(gt=0, description="More JSON in a body is refused with 413.")] = 16 * 2**20
    max_pending_bytes: Annotated[
        int, Field(gt=0, description="Bytes of all bodies that are held at once; further ones are refused at once.")
    ] = 2**30
    observe_budget: Annotated[
        float,
        Field(
            ge=0, le=1, allow_inf_nan=False, description="How much longer runs may take, as a share, to be observed."
        ),
    ] = 0.02
    observe_share: Annotated[
        float | None,
        Field(
            ge=0, le=1, allow_inf_nan=False, description="Share of runs that are observed; by the budget if not set."
        ),
    ] = None
    window_rows: Annotated[
        int, Field(ge=32, le=512, description="Observed rows of a window, which is then judged and kept.")
    ] = 512
    window_s: Annotated[
        float,
        Field(gt=0, allow_inf_nan=False, description="After so many seconds a window of 32 rows or more is closed."),
    ] = 300.0
    alarm_rate: Annotated[
        float,
        Field(ge=0.0005, le=0.5, description="Share of windows that are to alarm although nothing has moved."),
    ] = 0.001
    history_url: Annotated[
        str,
        AfterValidator(_history_url),
        Field(
            description="Where the history is: sqlite:///PATH, postgresql://... or none; if not set beside the store."
        ),
    ] = ""
    reservoir_rows: Annotated[
        int, Field(ge=0, description="Rows of late that are kept of every version, to recalibrate it on; 0 for none.")
    ] = 0
    reservoir_bytes: Annotated[int, Field(gt=0, description="Most bytes of the rows that are kept of a version.")] = (
        64 * 2**20
    )
    recalibration_timeout_s: Annotated[
        float,
        Field(
            gt=0, allow_inf_nan=False, description="A recalibration that takes longer is stopped, answered with 504."
        ),
    ] = 300.0
    compression: Annotated[
        bool,
        Field(description="Whether answers are compressed for clients that accept it; not with --no-compression."),
    ] = True
    shutdown_delay_s: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False, description="How long to go on answering on SIGTERM, no longer ready."),
    ] = 0.0
    shutdown_timeout_s: Annotated[
        int, Field(ge=0, description="How long to wait on SIGTERM for answers that are under way.")
    ] = 30
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="What to log, and everything above it.")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Field(description="Lines for people, or one JSON object a line.")
    ] = "text"
    access_log: Annotated[
        bool, Field(description="Whether every inference request is logged; --access-log alone is true.")
    ] = False
    otlp_endpoint: Annotated[
        str, Field(description="Where traces go, OTLP over HTTP, as http://127.0.0.1:4318; empty for no traces.")
    ] = ""
