"""Who may query: tokens from a file that is read again when it changes, limited to namespaces."""

import logging
import os
from pathlib import Path

import pytest

from provider.http.access import TokenAccess, Unauthorized
from provider.model.errors import NotConfigured
from tests.app import create_app

ANY, TEAM, OTHER = "kWq3vX0m5TzR8bYc", "Zp7LdN2sHf4QjUe9", "Fh5TyV9cGb1WkRo3"
NEW, SHORT = "Mx8CnE6aJd2YrSi0", "PlantedShort"
QUESTION = "/v1/target-health?namespace=shop&rollout=web"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# rotated in March\n{ANY}\n\n{TEAM}  shop,shop-test  # the shop's\n{OTHER} billing\n")
    return path


@pytest.fixture
def guarded(sources, metrics, file):
    """The application with a tokens file."""
    return create_app(sources, metrics, access=TokenAccess(file)).test_client()


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


@pytest.mark.parametrize("header", ["Basic " + ANY, ANY, "bearer", f"Bearer{ANY}", f"Bearer {ANY} {ANY}"])
def test_only_a_bearer_token_counts(guarded, header):
    """Only the form `Bearer TOKEN` of the Authorization header is accepted."""
    assert guarded.get(QUESTION, headers={"Authorization": header}).status_code == 401


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR", "Bearer  "])
@pytest.mark.usefixtures("scene")
def test_the_case_of_the_scheme_does_not_matter(guarded, scheme):
    """`Bearer` may have any case of letters and more than one blank after it, but the token's case matters."""
    assert guarded.get(QUESTION, headers={"Authorization": f"{scheme} {ANY}"}).status_code == 200
    assert guarded.get(QUESTION, headers={"Authorization": f"{scheme} {ANY.lower()}"}).status_code == 401


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
    before = ask(guarded, NEW).status_code

    file.write_text(f"{NEW}\n")

    assert before == 401
    assert ask(guarded, NEW).status_code == 200
    assert ask(guarded, ANY).status_code == 401


@pytest.mark.parametrize(
    ("bad", "line", "sentence"),
    [
        (SHORT.encode(), 2, "the token in line 2 must have at least 16 characters, ASCII only"),
        (b"Pl\xe4ntedButNotAscii", 2, "line 2 is not UTF-8 text"),
        ("PläntedButNotAscii".encode(), 2, "the token in line 2 must have at least 16 characters, ASCII only"),
        (f"{OTHER} ,".encode(), 2, "line 2 names no namespace after its token"),
        (f"{NEW} billing".encode(), 3, "line 3 repeats the token of line 2: join their namespaces in one line"),
    ],
    ids=["short", "another encoding", "not ASCII", "no namespace", "repeated"],
)
@pytest.mark.usefixtures("scene")
def test_a_bad_line_revokes_nobody_but_itself(guarded, file, caplog, bad, line, sentence):
    """With a bad line the good ones count, a token that was removed does not, and the log has the bad one's number."""
    lines = [f"{TEAM} shop".encode(), f"{NEW} shop".encode()]
    lines.insert(line - 1, bad)
    file.write_bytes(b"\n".join(lines))

    statuses = [ask(guarded, token).status_code for token in (TEAM, NEW, ANY, OTHER, SHORT)]

    assert statuses == [200, 200, 401, 401, 401]
    [logged] = [record.getMessage() for record in caplog.records if record.name == "provider.http.reread"]
    assert logged.startswith(f"The file of PROVIDER_TOKENS_FILE cannot be read in full: {sentence}. ")
    assert not any(secret in caplog.text for secret in ("Planted", "ButNotAscii", TEAM, NEW, ANY, OTHER))


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda file: file.unlink(), "No such file or directory"),
        (lambda file: (file.unlink(), file.mkdir()), "Is a directory"),
        (lambda file: file.write_text(""), "it is empty"),
        (lambda file: file.write_text(f"# {ANY}\n"), "it is empty"),
        (lambda file: file.write_text(f"{SHORT}\n"), "the token in line 1 must have at least 16 characters"),
        (lambda file: file.write_bytes(ANY.encode("utf-16")), "line 1 is not UTF-8 text"),
    ],
    ids=["gone", "a folder", "empty", "comments", "bad lines", "UTF-16"],
)
@pytest.mark.usefixtures("scene")
def test_a_file_without_a_valid_token_lets_nobody_in(guarded, file, break_it, why, caplog):
    """Nobody is let in, the problem and the log say what to fix, and once it is mended the token is valid again."""
    content = file.read_text()
    break_it(file)

    refused = [ask(guarded, token) for token in (ANY, TEAM, None)]

    assert [response.status_code for response in refused] == [401] * 3
    assert refused[0].json["detail"].startswith(f"The file of PROVIDER_TOKENS_FILE has no valid token ({why}")
    assert why in caplog.text
    if file.is_dir():
        file.rmdir()
    file.write_text(content)
    assert ask(guarded, ANY).status_code == 200


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
@pytest.mark.usefixtures("scene")
def test_a_comment_ends_with_its_line(guarded, file, separator):
    """A token in a comment is not valid, whatever stands before it in that line; a byte order mark does no harm."""
    file.write_text(f"\ufeff{NEW}\n# removed:{separator}{ANY}\n", newline="")

    assert [ask(guarded, token).status_code for token in (NEW, ANY)] == [200, 401]


@pytest.mark.usefixtures("scene")
def test_a_failed_read_is_tried_again(guarded, file):
    """A file that could not be read is read again at the next query, even if its size and time are unchanged."""
    file.write_text("ä" + "a" * (len(NEW) - 2))
    before = file.stat()
    assert ask(guarded, NEW).status_code == 401

    file.write_text(NEW)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert file.stat().st_size == before.st_size
    assert ask(guarded, NEW).status_code == 200
    assert ask(guarded, ANY).status_code == 401


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("short", "line 1 must have at least 16 characters"),
        (f"{ANY}\n{TEAM} ,", "line 2 names no namespace"),
        ("ä" * 20, "ASCII only"),
        (f"{ANY} shop\n\n{ANY} billing", "line 3 repeats the token of line 1"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_wrong_at_the_start_is_refused(tmp_path, content, sentence):
    """A provider does not start with a malformed tokens file; it says what is wrong without quoting it."""
    path = tmp_path / "tokens"
    if content is not None:
        path.write_text(content, encoding="utf-8")

    with pytest.raises(NotConfigured, match=sentence) as raised:
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
