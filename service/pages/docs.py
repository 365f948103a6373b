"""This module serves the two pages that show the OpenAPI document, Swagger UI and ReDoc, without any other host.

Their scripts come from the installed package ``fastapi-offline``. The content security policy holds the browser to
that: both pages would otherwise ask their makers' hosts for a logo or a validator.
"""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

ASSETS_URL = "/docs/assets"
# both pages start their script inline
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; worker-src blob:; "
    "script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
)

router = APIRouter(include_in_schema=False)


def assets() -> StaticFiles:
    """What both pages load, to be mounted at ``ASSETS_URL``."""
    return StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")


# Addresses are relative to the page, so that they hold behind a proxy that adds a prefix.
@router.get("/docs")
async def swagger() -> HTMLResponse:
    """Swagger UI."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="bnserve",
        swagger_js_url=f".{ASSETS_URL}/swagger-ui-bundle.js",
        swagger_css_url=f".{ASSETS_URL}/swagger-ui.css",
        swagger_favicon_url=f".{ASSETS_URL}/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},
    )
    return _held(page)


@router.get("/redoc")
async def redoc() -> HTMLResponse:
    """ReDoc."""
    page = get_redoc_html(
        openapi_url="openapi.json",
        title="bnserve",
        redoc_js_url=f".{ASSETS_URL}/redoc.standalone.js",
        redoc_favicon_url=f".{ASSETS_URL}/favicon.png",
        with_google_fonts=False,
    )
    return _held(page)


@router.get("/")
async def root() -> RedirectResponse:
    """Whoever opens the bare address wants the pages."""
    return RedirectResponse("docs")


def _held(page: HTMLResponse) -> HTMLResponse:
    page.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return page
