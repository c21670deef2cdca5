"""Where `preflight` and `forecast` get the manifests: files, standard input, or the cluster of the kubeconfig."""

import sys
from pathlib import Path

import click

from provider.advice.preflight import live as live_preflight
from provider.advice.preflight.manifests import Manifests, NotManifests, joined, parse
from provider.advice.preflight.setup import Setup, setups
from provider.cli.asking import errors_shown, own_settings
from provider.model.printable import printable
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.connection import context_namespace
from provider.start import sources_of
from provider.telemetry import Metrics

FILES = click.Option(
    ["--file", "-f", "files"],
    multiple=True,
    help="A file or a folder of manifests; `-` reads standard input, such as the output of `helm template` or "
    "`kubectl kustomize`. May be repeated.",
)
LIVE = click.Option(["--live"], is_flag=True, help="Read the objects from the cluster of your kubeconfig.")
ROLLOUT = click.Option(
    ["--rollout"], help="Name of the Rollout; needed with --live, and picks one of several in files."
)
NAMESPACE = click.Option(
    ["--namespace", "-n"],
    default=context_namespace,
    show_default="that of your kubeconfig's context",
    help="Namespace of the Rollout; with files, where objects without one go.",
)


def manifests_of(files: tuple[str, ...], namespace: str, rollout: str | None, *, live: bool) -> Manifests:
    """Return the manifests, with at least one Rollout. Raises ClickException."""
    if bool(files) == live or (live and not rollout):
        raise click.UsageError("Give either --file, or --live and --rollout")
    return _live(namespace, str(rollout)) if live else of_files(files, namespace, rollout)


def setups_of(files: tuple[str, ...], namespace: str, rollout: str | None, *, live: bool) -> list[Setup]:
    """Return each Rollout with what it leads to; say what could not be read. Raises ClickException."""
    manifests = manifests_of(files, namespace, rollout, live=live)
    for sentence in not_checked(manifests):
        click.echo(printable(sentence), err=True)
    return setups(manifests)


def not_checked(manifests: Manifests) -> list[str]:
    """Return a sentence for each kind that could not be read, and for each document that was skipped."""
    return [f"Not checked: {kind}. {why}" for kind, why in manifests.unread.items()] + [
        f"Skipped: {sentence}" for sentence in manifests.skipped
    ]


def of_files(files: tuple[str, ...], namespace: str, rollout: str | None = None) -> Manifests:
    """Return the manifests in files, with at least one Rollout; `rollout` drops the others. Raises ClickException."""
    several = []
    for file, text, is_named in texts_of(files):
        try:
            several.append(parse(text, namespace, file))
        except NotManifests as error:
            if is_named:
                raise click.ClickException(f"Cannot read the manifests: {error}") from error
            several.append(Manifests({}, skipped=(f"{error}",)))
    manifests = joined(several)
    if rollout is not None:
        manifests = manifests.with_one(rollout)
    if not setups(manifests):
        which = f" {rollout}" if rollout else ""
        for sentence in not_checked(manifests):
            click.echo(printable(sentence), err=True)
        raise click.ClickException(f"There is no Rollout{which} among the manifests")
    return manifests


def _live(namespace: str, rollout: str) -> Manifests:
    with errors_shown(". To read manifests instead, use --file"):
        sources = sources_of(own_settings(), Metrics())
        deadline = Deadline(sources.budget_seconds, began_at=sources.clock())
        return live_preflight.manifests_of(sources, namespace, rollout, deadline)


def texts_of(names: tuple[str, ...]) -> list[tuple[str, str, bool]]:
    """Return the name and text of each file, of those in folders, and of standard input; and whether it was named.

    Raises ClickException.
    """
    texts = []
    for name in names:
        path = Path(name)
        try:
            if name == "-":
                texts.append(("", sys.stdin.read(), True))
            elif path.is_dir():
                inside = sorted(entry for entry in path.iterdir() if entry.suffix in {".yaml", ".yml", ".json"})
                texts += [(str(entry), entry.read_text(encoding="utf-8"), False) for entry in inside]
            else:
                texts.append((name, path.read_text(encoding="utf-8"), True))
        except OSError as error:
            raise click.ClickException(f"Cannot read {error.filename or name}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise click.ClickException(f"Cannot read {name}: it is not UTF-8 text") from error
    return texts
