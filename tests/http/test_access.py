"""Who may query: tokens from a file that is read again when it changes, limited to namespaces."""

import logging
import os
from pathlib import Path

import pytest

from provider.http.access import TokenAccess, Unauthorized
from provider.http.app import create_app
from provider.model.errors import NotConfigured

ANY, TEAM, OTHER = "kWq3vX0m5TzR8bYc", "Zp7LdN2sHf4QjUe9", "Fh5TyV9cGb1WkRo3"
QUESTION = "/v1/target-health?namespace=shop&rollout=web"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# rotated in March\n{ANY}\n\n{TEAM}  shop,shop-test  # the shop's\n{OTHER} billing\n")
    return path


@pytest.fixture
def guarded(sources, metrics, file):
    """The application with a tokens file."""
    return create_app(sources, metrics, TokenAccess(file)).test_client()


def ask(client, token=None, question=QUESTION, **more):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.get(question, headers=headers, **more)


@pytest.mark.parametrize(
    ("token", "status"),
    [(ANY, 200), (TEAM, 200), (OTHER, 403), (None, 401), ("", 401), (ANY[:-1], 401), ("ä" * 16, 401)],
)
@pytest.mark.usefixtures("scene")
def test_a_question_needs_a_token_for_its_namespace(guarded, token, status):
    """A token for the namespace gets an answer, a token for another namespace 403, anything else 401."""
    response = ask(guarded, token)

    assert response.status_code == status
    assert (response.content_type == "application/problem+json") == (status != 200)
    assert ("WWW-Authenticate" in response.headers) == (status == 401)


@pytest.mark.parametrize("header", ["Basic " + ANY, ANY, "bearer", f"Bearer {ANY} {ANY}"])
def test_only_a_bearer_token_counts(guarded, header):
    """Only the form `Bearer TOKEN` of the Authorization header is accepted."""
    assert guarded.get(QUESTION, headers={"Authorization": header}).status_code == 401


def test_another_teams_token_cannot_tell_what_exists(guarded):
    """With a token of another namespace an absent Rollout and a present one get the same answer."""
    present, absent = ask(guarded, OTHER), ask(guarded, OTHER, QUESTION.replace("web", "none"))

    assert (present.status_code, present.data) == (absent.status_code, absent.data)


def test_without_a_token_nothing_is_said_about_the_question(guarded):
    """A malformed question without a token is a 401, not a 400 that would explain the parameters."""
    assert ask(guarded, None, "/v1/gate?typo=1").status_code == 401
    assert ask(guarded, ANY, "/v1/gate?typo=1").status_code == 400


def test_probes_and_metrics_need_no_token(guarded):
    """Probes and metrics need no token: they reveal nothing about a Rollout."""
    for path in ("/livez", "/metrics", "/openapi.json"):
        assert guarded.get(path).status_code == 200


@pytest.mark.usefixtures("scene")
def test_the_file_is_read_again_when_it_changes(guarded, file):
    """From the next query on a new token is valid and a removed one is not, without a restart."""
    new = "Mx8CnE6aJd2YrSi0"
    before = ask(guarded, new).status_code

    file.write_text(f"{new}\n")

    assert before == 401
    assert ask(guarded, new).status_code == 200
    assert ask(guarded, ANY).status_code == 401


@pytest.mark.parametrize("broken", ["short\n", None, b"\xff" * 20], ids=["malformed", "gone", "not text"])
@pytest.mark.usefixtures("scene")
def test_a_file_that_breaks_later_changes_nothing(guarded, file, broken, caplog):
    """While the file is malformed or missing, the tokens read before stay valid, and the log says why."""
    if broken is None:
        file.unlink()
    else:
        file.write_bytes(broken if isinstance(broken, bytes) else broken.encode())

    assert ask(guarded, ANY).status_code == 200
    assert "The file of PROVIDER_TOKENS_FILE cannot be read again" in caplog.text


@pytest.mark.usefixtures("scene")
def test_a_failed_read_is_tried_again(guarded, file):
    """A file that could not be read is read again at the next query, even if its size and time are unchanged."""
    new = "Mx8CnE6aJd2YrSi0"
    file.write_text("ä" + "a" * (len(new) - 2))
    before = file.stat()
    assert ask(guarded, new).status_code == 401

    file.write_text(new)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert file.stat().st_size == before.st_size
    assert ask(guarded, new).status_code == 200
    assert ask(guarded, ANY).status_code == 401


def test_an_emptied_file_lets_nobody_in(guarded, file):
    """Removing every token from the file revokes all of them."""
    file.write_text("# nobody\n")

    assert ask(guarded, ANY).status_code == 401


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("short", "line 1 must have at least 16 characters"),
        (f"{ANY}\n{TEAM} ,", "line 2 names no namespace"),
        ("ä" * 20, "ASCII only"),
        (f"{ANY} shop\n\n{ANY} billing", "line 3 repeats the token of line 1"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_wrong_at_the_start_is_refused(tmp_path, content, says):
    """A provider does not start with a malformed tokens file; it says what is wrong without quoting it."""
    path = tmp_path / "tokens"
    if content is not None:
        path.write_text(content, encoding="utf-8")

    with pytest.raises(NotConfigured, match=says) as raised:
        TokenAccess(path)

    assert ANY not in str(raised.value)


@pytest.mark.usefixtures("scene")
def test_a_token_is_never_repeated(guarded, caplog):
    """No token, valid or not, appears in an answer, a metric or the log."""
    caplog.set_level(logging.DEBUG)
    wrong = "NotAValidTokenAtAll"

    responses = [ask(guarded, token, path) for token in (ANY, OTHER, wrong) for path in (QUESTION, "/v1/gate?x=1")]

    said = caplog.text + guarded.get("/metrics").text + "".join(response.text for response in responses)
    assert not any(token in said for token in (ANY, TEAM, OTHER, wrong))


def test_the_startup_log_says_who_may_ask(file):
    """The start-up log gives the number of valid tokens and nothing else of them."""
    access = TokenAccess(file)

    assert access.describe() == "A bearer token is required: 3 are valid"
    with pytest.raises(Unauthorized):
        access.grant(None)
