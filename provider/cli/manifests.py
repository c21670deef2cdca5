"""Where `preflight` and `forecast` get the manifests: files, standard input, or the cluster of the kubeconfig."""

import logging.config
import sys
from pathlib import Path

import click

from provider import settings
from provider.advice.preflight import reading
from provider.advice.preflight.manifests import Manifests, NotManifests, Setup, parse, setups
from provider.model.errors import CannotTell, NotConfigured, RolloutNotFound
from provider.model.printable import printable
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.connection import context_namespace
from provider.start import sources_of
from provider.telemetry import Metrics, logging_config

FILES = click.Option(
    ["--file", "-f", "files"],
    multiple=True,
    help="A file or a folder of manifests; `-` reads standard input, such as the output of `helm template` or "
    "`kubectl kustomize`. May be repeated.",
)
LIVE = click.Option(["--live"], is_flag=True, help="Read the objects from the cluster of your kubeconfig.")
ROLLOUT = click.Option(["--rollout"], help="With --live: name of the Rollout.")
NAMESPACE = click.Option(
    ["--namespace", "-n"],
    default=context_namespace,
    show_default="that of your kubeconfig's context",
    help="Namespace of the Rollout; with files, where objects without one go.",
)


def manifests_of(files: tuple[str, ...], namespace: str, rollout: str | None, *, live: bool) -> Manifests:
    """Return the manifests, with at least one Rollout. Raises ClickException."""
    if bool(files) == live or live != bool(rollout):
        raise click.UsageError("Give either --file, or --live and --rollout")
    return _live(namespace, str(rollout)) if live else of_files(files, namespace)


def setups_of(files: tuple[str, ...], namespace: str, rollout: str | None, *, live: bool) -> list[Setup]:
    """Return each Rollout with what it leads to; say what could not be read. Raises ClickException."""
    manifests = manifests_of(files, namespace, rollout, live=live)
    for sentence in not_checked(manifests):
        click.echo(printable(sentence), err=True)
    return setups(manifests)


def not_checked(manifests: Manifests) -> list[str]:
    """Return a sentence for each kind that could not be read."""
    return [f"Not checked: {kind}. {why}" for kind, why in manifests.unread.items()]


def of_files(files: tuple[str, ...], namespace: str) -> Manifests:
    """Return the manifests in files, with at least one Rollout. Raises ClickException."""
    try:
        found = parse("\n---\n".join(texts_of(files)), namespace)
    except NotManifests as error:
        raise click.ClickException(f"Cannot read the manifests: {error}") from error
    if not setups(found):
        raise click.ClickException("There is no Rollout among the manifests")
    return found


def _live(namespace: str, rollout: str) -> Manifests:
    logging.config.dictConfig(logging_config("ERROR"))
    try:
        sources = sources_of(settings.load(), Metrics())
        deadline = Deadline(sources.budget_seconds, began_at=sources.clock())
        return reading.manifests_of(sources, namespace, rollout, deadline)
    except NotConfigured as error:
        raise click.ClickException(f"{error}. To read manifests instead, use --file") from error
    except (RolloutNotFound, CannotTell, settings.BadSettings) as error:
        raise click.ClickException(str(error)) from error


def texts_of(names: tuple[str, ...]) -> list[str]:
    """Return the text of each file, of each file in a folder, and of standard input. Raises ClickException."""
    texts = []
    for name in names:
        try:
            if name == "-":
                texts.append(sys.stdin.read())
            elif Path(name).is_dir():
                inside = sorted(one for one in Path(name).iterdir() if one.suffix in {".yaml", ".yml", ".json"})
                texts += [one.read_text(encoding="utf-8") for one in inside]
            else:
                texts.append(Path(name).read_text(encoding="utf-8"))
        except OSError as error:
            raise click.ClickException(f"Cannot read {name}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise click.ClickException(f"Cannot read {name}: it is not UTF-8 text") from error
    return texts
