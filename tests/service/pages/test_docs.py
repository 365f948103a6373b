from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest

from models.store import Store
from tests.service.running import Service, in_process

PAGES = ["/docs", "/redoc"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on an empty store."""
    with in_process(Store(tmp_path_factory.mktemp("store")).root) as running:
        yield running


class Addresses(HTMLParser):
    """Every address that a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """Take the addresses of one tag; the parser calls this."""
        self.found += [value for name, value in attrs if name in {"src", "href", "spec-url", "action"} and value]


def addresses(page: str) -> list[str]:
    parser = Addresses()
    parser.feed(page)
    return parser.found


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_html(service: Service, path: str) -> None:
    expected = "text/html; charset=utf-8"

    response = service.get(path)

    assert (response.status_code, response.headers["content-type"]) == (200, expected)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_names_no_other_host(service: Service, path: str) -> None:
    page = service.get(path).text

    found = addresses(page)

    assert len(found) >= 2
    assert all(urlsplit(address)[:2] == ("", "") and not address.startswith("/") for address in found)


@pytest.mark.parametrize("path", PAGES)
def test_everything_that_a_page_names_is_here(service: Service, path: str) -> None:
    page = service.get(path).text

    answers = {address: service.get(urlsplit(urljoin(path, address)).path) for address in addresses(page)}

    assert {address: answer.status_code for address, answer in answers.items()} == dict.fromkeys(answers, 200)
    assert all(answer.content for answer in answers.values())


@pytest.mark.parametrize("path", PAGES)
def test_a_page_reads_the_document_of_this_service(service: Service, path: str) -> None:
    document = "openapi.json"

    page = service.get(path).text

    assert page.count(document) == 1
    assert f"/{document}" not in page


@pytest.mark.parametrize("path", PAGES)
def test_the_browser_is_held_to_this_host(service: Service, path: str) -> None:
    response = service.get(path)

    policy = dict(each.split(maxsplit=1) for each in response.headers["content-security-policy"].split("; "))

    assert policy["default-src"] == "'self'"
    assert not any(source.startswith(("http", "*", "//")) for sources in policy.values() for source in sources.split())


def test_the_bare_address_leads_to_the_pages(service: Service) -> None:
    expected = "docs"

    response = service.get("/")

    assert response.is_redirect
    assert response.headers["location"] == expected


def test_swagger_asks_no_validator(service: Service) -> None:
    setting = '"validatorUrl": null'

    page = service.get("/docs").text

    assert setting in page
