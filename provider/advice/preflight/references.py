"""What the Rollout names: does it exist, and is it meant?"""

from collections.abc import Iterator

from provider.advice.preflight.findings import Code, Finding, Severity, finding
from provider.advice.preflight.manifests import Setup, at, name_of


def services(setup: Setup) -> Iterator[Finding]:
    """Each Service of the strategy exists."""
    if "Service" in setup.manifests.unread:
        return
    every = [name_of(one) for one in setup.manifests.of("Service", setup.namespace)]
    for field, name in setup.service_names.items():
        if name not in every:
            yield _missing(setup, Code.SERVICE_MISSING, "Service", name, field, every)


def templates(setup: Setup) -> Iterator[Finding]:
    """Each template of an analysis exists."""
    for analysis in setup.analyses:
        for kind, name in analysis.missing:
            if kind in setup.manifests.unread:
                continue
            namespace = "" if kind == "ClusterAnalysisTemplate" else setup.namespace
            every = [name_of(one) for one in setup.manifests.of(kind, namespace)]
            yield _missing(setup, Code.TEMPLATE_MISSING, kind, name, analysis.use, every)


def same_names(setup: Setup) -> Iterator[Finding]:
    """No template of an analysis has a namesake of the other kind."""
    for analysis in setup.analyses:
        for one in analysis.templates:
            clustered = one["kind"] == "ClusterAnalysisTemplate"
            other, where = ("AnalysisTemplate", setup.namespace) if clustered else ("ClusterAnalysisTemplate", "")
            if setup.manifests.find(other, where, name_of(one)) is not None:
                yield finding(
                    Code.SAME_NAME_TWICE,
                    (f"{one['kind']}/{name_of(one)}", f"{other}/{name_of(one)}"),
                    f"{analysis.use} uses {one['kind']} {name_of(one)}; there is an {other} of that name too",
                )


def arguments(setup: Setup) -> Iterator[Finding]:
    """What a template needs is passed, and what is passed is declared."""
    for analysis in setup.analyses:
        passed = {str(one.get("name")): one for one in analysis.arguments}
        declared = {str(one.get("name")): one for each in analysis.templates for one in at(each, "spec.args", [])}
        for name, one in declared.items():
            from_secret = at(one, "valueFrom.secretKeyRef") is not None
            if name not in passed and one.get("value") is None and not from_secret:
                says = f"{analysis.use} does not pass the argument {name}, which has no default"
                yield finding(Code.ARGUMENT_MISSING, (f"Rollout/{setup.name}",), says)
            if name in passed and from_secret:
                says = f"{analysis.use} passes {name}, which the template takes from a Secret"
                yield finding(Code.SECRET_ARGUMENT_OVERRIDDEN, (f"Rollout/{setup.name}",), says)
        if not analysis.missing:
            for name in passed.keys() - declared.keys():
                says = f"{analysis.use} passes the argument {name}, which none of its templates declares"
                yield finding(Code.ARGUMENT_UNKNOWN, (f"Rollout/{setup.name}",), says)


def defaults(setup: Setup) -> Iterator[Finding]:
    """Templates of one analysis agree on the default of an argument."""
    for analysis in setup.analyses:
        known: dict[str, tuple[str, object]] = {}
        for one in analysis.templates:
            for argument in at(one, "spec.args", []):
                name, value = str(argument.get("name")), argument.get("value")
                if value is None:
                    continue
                before = known.setdefault(name, (name_of(one), value))
                if before[1] != value:
                    says = f"{analysis.use}: {name} is {before[1]!r} in {before[0]} and {value!r} in {name_of(one)}"
                    yield finding(Code.DEFAULTS_CONTRADICT, (f"{one['kind']}/{name_of(one)}",), says)


def _missing(setup: Setup, code: Code, kind: str, name: str, field: str, every: list[str]) -> Finding:
    """Say that an object is missing, or that kustomize renamed it; of files nobody knows whether they are all."""
    renamed = [one for one in every if one != name and (one.endswith(f"-{name}") or one.startswith(f"{name}-"))]
    affixed = [one for one in renamed if _is_affix_of_rollout(setup, one, name)]
    if affixed:
        says = f"{field} names {name}, and there is a {kind} {affixed[0]}"
        return finding(Code.NAME_PREFIX_LEFT_BEHIND, (f"Rollout/{setup.name}", f"{kind}/{affixed[0]}"), says)
    where = "" if setup.manifests.is_live else " among the manifests"
    says = f"{field} names {kind} {name}, and there is none{where}"
    severity = None if setup.manifests.is_live else Severity.RISK
    return finding(code, (f"Rollout/{setup.name}",), says, severity)


def _is_affix_of_rollout(setup: Setup, renamed: str, name: str) -> bool:
    """Tell whether the Rollout has the prefix or suffix that the other object has: kustomize gave it to both."""
    prefix, suffix = renamed.removesuffix(name), renamed.removeprefix(name)
    if renamed.endswith(name):
        return setup.name.startswith(prefix)
    return setup.name.endswith(suffix)
