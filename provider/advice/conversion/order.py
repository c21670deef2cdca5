"""The action of the converted rule, and the order of applying that never leaves production without a target."""

import json
from dataclasses import dataclass, replace

from provider.advice.preflight.routing import ALB


@dataclass(frozen=True)
class Pair:
    """The two Services of a Rollout, that of their action, and production's port as a number and as it is written."""

    active: str
    preview: str
    root: str
    port: int
    written: int | str

    @property
    def is_renamed(self) -> bool:
        """Whether production gets another target group: Argo writes the number of the port."""
        return str(self.written) != str(self.port)


def action(pair: Pair) -> str:
    """Return the action, in the form that Argo itself writes, so that its first reconcile changes little.

    The controller names a target group by the port as the rule writes it, and Argo writes a number. So a rule that
    names its port keeps its target group until the one of the number, at weight 0, is healthy.
    """
    port = str(pair.port)
    weights = [(pair.preview, port, 0), (pair.active, port, 0 if pair.is_renamed else 100)]
    weights += [(pair.active, str(pair.written), 100)] if pair.is_renamed else []
    groups = [{"ServiceName": name, "ServicePort": text, "Weight": weight} for name, text, weight in weights]
    return json.dumps({"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}, separators=(",", ":"))


def order(rollout: str, ingress: str, pair: Pair) -> list[str]:
    """Return the order of applying that never leaves production without a target."""
    if not pair.is_renamed:
        moves = [
            "Wait until the AWS Load Balancer Controller has reconciled it, and look whether requests still arrive.",
        ]
    else:
        final = action(replace(pair, written=pair.port))
        command = f"kubectl annotate --overwrite ingress {ingress}"
        why = "The controller names a target group by the port as the rule writes it"
        why += f"; it was {pair.written}, Argo writes {pair.port}"
        moves = [
            f"Wait until the targets of the new target group of {pair.active} and port {pair.port} are healthy. {why}.",
            f"Move the weight to it: `{command} '{ALB}actions.{pair.root}={final}'`, and write the same into the file.",
        ]
    same = f"its rule forwards to the same target group of {pair.active} with weight 100 as before"
    return [
        f"Wait until no version is rolling: `kubectl argo rollouts status {rollout}` says Healthy.",
        f"Apply the Services: {pair.root} is new, and nothing uses it yet.",
        f"Apply Ingress {ingress}: {same}.",
        *moves,
        f"Apply the AnalysisTemplates and Rollout {rollout} and no change of its pods: Argo takes over the weights.",
        "Deploy the next version: it is checked at weight 0, and the switch changes weights only.",
        "To go back before that: apply the Rollout as it was, then the Ingress.",
    ]
