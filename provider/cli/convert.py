"""The command `convert`: a blue-green Rollout as a ping-pong canary used like blue-green."""

import click

from provider.advice.conversion.documents import NotYaml, dump, load
from provider.advice.conversion.live import text_of
from provider.advice.conversion.ping_pong import CannotConvert, convert
from provider.cli.manifests import FILES, LIVE, NAMESPACE, ROLLOUT, setups_of, texts_of
from provider.model.printable import printable


@click.command("convert", params=[FILES, LIVE, ROLLOUT, NAMESPACE])
@click.option("--keep-preview", is_flag=True, help="Keep the preview address: another Service selects green's pods.")
def convert_(
    files: tuple[str, ...],
    live: bool,  # noqa: FBT001 - click passes names
    rollout: str | None,
    namespace: str,
    keep_preview: bool,  # noqa: FBT001 - click passes names
) -> None:
    """Convert a blue-green Rollout, with its Services, Ingress and templates, into a ping-pong canary.

    Prints manifests to review and apply: everything as it was, with its comments, but for what a comment says. They
    begin with the order in which to apply them without losing a request. What cannot be converted is said on standard
    error and left out. With --live it begins with what is in the cluster, without what a server or Argo added.
    """
    if bool(files) == live or (live and not rollout):
        raise click.UsageError("Give either --file, or --live and --rollout")
    texts = (
        [text for _, text, _ in texts_of(files)]
        if files
        else [text_of(one) for one in setups_of((), namespace, rollout, live=True)]
    )
    try:
        documents = [document for text in texts for document in load(text)]
        found = convert(documents, keep_preview=keep_preview, namespace=namespace, rollout=rollout)
    except (NotYaml, CannotConvert) as error:
        raise click.ClickException(f"Cannot convert the manifests: {error}") from error
    for note in found.notes:
        click.echo(f"Note: {printable(note)}.", err=True)
    steps = "\n".join(f"#  {number}. {printable(step)}" for number, step in enumerate(found.order, 1))
    click.echo(f"# Converted to a ping-pong canary used like blue-green. Apply it in this order:\n{steps}\n---")
    click.echo(dump(found.documents), nl=False)
