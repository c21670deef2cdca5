"""Rules of this code base that no tool checks."""

import ast
import re

from provider.checks import QUESTIONS
from provider.checks.gate import PARTS
from provider.model.reasons import Reason
from provider.settings import PREFIX
from tests import ROOT

TESTS, PROVIDER = ROOT / "tests", ROOT / "provider"


def functions_in(path):
    """Every function of a module, those in classes and in other functions included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def sources_in(folder, *, but):
    """The text of every module below a folder, but for those of these names."""
    return {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.py") if path.name not in but}


def test_every_test_states_its_promise():
    """Every test begins with a docstring of one line: the promise that it checks, as a sentence."""
    promises = {
        f"{path.relative_to(TESTS)}::{function.name}": ast.get_docstring(function) or ""
        for path in TESTS.rglob("test_*.py")
        for function in functions_in(path)
        if function.name.startswith("test_")
    }

    assert len(promises) > 500
    assert {name: text for name, text in promises.items() if not re.fullmatch(r"[^\n]+\.", text)} == {}


def test_questions_are_named_as_they_are_routed(app):
    """The routes below /v1 are QUESTIONS, for GET and for POST, the handover, a POST, and four that are for people."""
    routes = {rule.rule: (rule.methods or set()) & {"GET", "POST"} for rule in app.url_map.iter_rules()}

    assert {path: methods for path, methods in routes.items() if path.startswith("/v1")} == {
        f"/v1/{name}": {"GET", "POST"} for name in QUESTIONS
    } | {"/v1/handover": {"POST"}} | {
        f"/v1/{name}": {"GET"} for name in ("explain", "history", "preflight", "rollouts")
    }
    assert {name: check.name for name, check in QUESTIONS.items()} == {name: name for name in QUESTIONS}


def test_every_check_is_in_its_file():
    """A check is the file of its name in provider/checks/; the shared files are named here."""
    shared = {"--init--", "question", "parameters", "strictness", "body", "traffic", "green-pods"}
    files = {path.stem.replace("_", "-") for path in (PROVIDER / "checks").glob("*.py")} - shared

    assert files == {*QUESTIONS, *(part.name for part in PARTS)}


def test_every_reason_is_given_somewhere():
    """No reason is documented that no code gives."""
    texts = sources_in(PROVIDER, but={"reasons.py"})

    given = {name for text in texts.values() for name in re.findall(r"\bReason\.([A-Z_]+)\b", text)}

    assert set(Reason.__members__) - given == set()


def test_every_workaround_cites_its_script():
    """Each script of tests/upstream is cited by the code that works around what it shows, and each citation has one."""
    texts = [*sources_in(PROVIDER, but=()).values(), *sources_in(TESTS, but=()).values()]
    texts.append((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    cited = {name for text in texts for name in re.findall(r"# .*tests/upstream/([a-z0-9-]+\.sh)", text)}

    assert cited == {path.name for path in (TESTS / "upstream").iterdir()}


def test_only_settings_reads_its_variables():
    """PROVIDER_ variables are read in settings.py and nowhere else."""
    texts = sources_in(PROVIDER, but={"settings.py"})

    readers = [path for path, text in texts.items() if re.search(rf"(environ|getenv)\W+[^\n]*{PREFIX}", text)]

    assert readers == []
