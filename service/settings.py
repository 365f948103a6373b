"""This module is every setting of the service, once: as a flag, as an environment variable, and documented.

``max_request_bytes`` is the flag ``--max-request-bytes`` and the variable ``BNSERVE_MAX_REQUEST_BYTES``; where both
are given the flag wins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Serve a store of bundles over HTTP. Every flag can also be given as a variable: --port as BNSERVE_PORT."""

    model_config = SettingsConfigDict(
        env_prefix="BNSERVE_", frozen=True, extra="forbid", cli_prog_name="bnserve", cli_kebab_case=True
    )

    store: Annotated[Path, Field(description="Where the bundles live: STORE/MODEL/VERSION.")] = Path("models/store")
    host: Annotated[str, Field(description="Address to listen on; 0.0.0.0 for every one this machine has.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8000
    device: Annotated[
        str, Field(description="auto, cpu, cuda or cuda:N; auto takes a GPU where this runtime can use one.")
    ] = "auto"
    threads: Annotated[
        int, Field(ge=0, description="Threads of one run of a model; 0 takes the CPUs that this process may use.")
    ] = 0
    refresh_interval_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="How often to look at the store where its file system does not tell of changes.",
        ),
    ] = 2.0
    max_request_bytes: Annotated[int, Field(gt=0, description="Larger bodies are refused with 413.")] = 64 * 2**20
    shutdown_timeout_s: Annotated[
        int, Field(ge=0, description="How long to wait on SIGTERM for answers that are under way.")
    ] = 30
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="What to log, and everything above it.")
    ] = "info"
