"""Finding green: which ReplicaSet is green, and which one Service's target groups are judged.

Pure rules over one Topology, in the order in which they decide. Each rule that cannot go on raises CannotTell with its
own reason. Sources: argoproj/argo-rollouts rollout/service.go, rollout/trafficrouting/service_helper.go,
utils/rollout/rolloututil.go.
"""

from provider.errors import CannotTell
from provider.reasons import Reason
from provider.records import (
    HASH_LABEL,
    Binding,
    BlueGreen,
    Canary,
    Green,
    GreenService,
    Rollout,
    Service,
    ServicePort,
    Stage,
    Topology,
)


def find_green(topology: Topology, asked_hash: str | None) -> Green:
    """Return the Rollout's newest ReplicaSet, if Argo and Kubernetes have acted on the newest specs.

    `asked_hash` is the hash that the asker means by green; None means whichever is green now.
    Raises CannotTell: RolloutNotObserved, Superseded, ReplicaSetNotFound, ReplicaSetNotObserved, NoPods.
    """
    rollout = topology.rollout
    _require_observed(rollout)
    if asked_hash and asked_hash != rollout.current_hash:
        raise CannotTell(
            Reason.SUPERSEDED,
            f"Pod template hash {asked_hash} is not the current green of Rollout {rollout.name}; that is "
            f"{rollout.current_hash or 'not known yet'}",
        )
    owned = [one for one in topology.replica_sets if one.owner_uid == rollout.uid]
    if not owned:
        raise CannotTell(
            Reason.REPLICA_SET_NOT_FOUND,
            f"Rollout {rollout.name} has no ReplicaSet of pod template hash {rollout.current_hash or '(none)'} yet",
        )
    replica_set = owned[0]
    if replica_set.observed_generation < replica_set.generation:
        raise CannotTell(
            Reason.REPLICA_SET_NOT_OBSERVED, f"Kubernetes has not acted on the newest {replica_set.name} yet"
        )
    if replica_set.replicas < 1:
        raise CannotTell(Reason.NO_PODS, f"Green ReplicaSet {replica_set.name} wants 0 replicas, so nothing is proved")
    # By uid: a pod that were listed twice would count for one that is missing.
    pods = {pod.uid: pod for pod in topology.pods if pod.owner_uid == replica_set.uid and not pod.terminating}
    return Green(rollout=rollout, replica_set=replica_set, pods=tuple(pods.values()), read_at=topology.read_at)


def _require_observed(rollout: Rollout) -> None:
    """Refuse a status that Argo wrote for an older spec, or for an older template of the workloadRef."""
    seen, wanted, of = rollout.observed_generation, str(rollout.generation), "generation"
    if seen == wanted and rollout.workload_generation:
        seen, wanted = rollout.workload_observed_generation, rollout.workload_generation
        of = "workload generation"
    if seen != wanted:
        raise CannotTell(
            Reason.ROLLOUT_NOT_OBSERVED,
            f"Argo has seen {of} {seen or '(none)'} of Rollout {rollout.name}, the newest is {wanted}",
        )


def find_service(topology: Topology, green: Green, asked_service: str | None) -> GreenService:
    """Return the Service whose target groups are judged, once it selects green, with its bindings and endpoints.

    `asked_service` overrides the choice by one of the strategy's own Services.
    Raises CannotTell: NoPreviewService, NoStrategyService, ServiceNotInStrategy, ServiceNotFound, ServiceNotSwitched,
    NoBinding, ServicePortNotFound.
    """
    rollout = green.rollout
    if asked_service and asked_service not in rollout.strategy.services:
        own = ", ".join(rollout.strategy.services) or "none"
        raise CannotTell(
            Reason.SERVICE_NOT_IN_STRATEGY,
            f"Service {asked_service} is not in the strategy of Rollout {rollout.name}, whose Services are: {own}",
        )
    name, stage = _choose(topology, rollout)
    if asked_service and asked_service != name:
        name, stage = asked_service, _stage_of(topology, rollout, asked_service)
    service = topology.services.get(name)
    if service is None:
        raise CannotTell(
            Reason.SERVICE_NOT_FOUND,
            f"Service {name} of Rollout {rollout.name} does not exist in namespace {rollout.namespace}",
        )
    if not selects(service, rollout.current_hash):
        now = service.selector.get(HASH_LABEL, "no hash")
        raise CannotTell(
            Reason.SERVICE_NOT_SWITCHED,
            f"Service {name} selects {now}, not green {rollout.current_hash}, so its target groups hold no green pod",
        )
    return GreenService(
        service=service,
        stage=stage,
        endpoints=tuple(one for one in topology.endpoints if one.service == name),
        bindings=_bindings(topology, service),
    )


def find_blue_bindings(topology: Topology, green: Green) -> tuple[Binding, ...]:
    """Return the bindings of the Service by which blue takes production traffic while green is only being checked.

    Empty where there is none that selects blue: on a first deploy, and after the switch.
    """
    rollout = green.rollout
    match rollout.strategy:
        case BlueGreen(active_service=name):
            pass
        case Canary(ping_service=str(ping), pong_service=str(pong)):
            name = ping if rollout.stable_ping_pong == "ping" else pong
        case Canary(stable_service=name):
            pass
    if not name or not selects(topology.services.get(name), rollout.stable_hash):
        return ()
    if rollout.stable_hash == rollout.current_hash:
        return ()
    return tuple(one for one in topology.bindings if one.service == name)


def selects(service: Service | None, pod_hash: str) -> bool:
    """Tell whether a Service's selector carries the hash: the truth about where its traffic goes."""
    return service is not None and bool(pod_hash) and service.selector.get(HASH_LABEL) == pod_hash


def _choose(topology: Topology, rollout: Rollout) -> tuple[str, Stage]:
    match rollout.strategy:
        case BlueGreen() as strategy:
            return _choose_blue_green(topology, rollout, strategy)
        case Canary(ping_service=str(ping), pong_service=str(pong)):
            return _choose_ping_pong(rollout, ping, pong)
        case Canary() as strategy:
            return _choose_canary(topology, rollout, strategy)


def _choose_blue_green(topology: Topology, rollout: Rollout, strategy: BlueGreen) -> tuple[str, Stage]:
    """Take the active Service once it selects green, before that the preview Service."""
    if selects(topology.services.get(strategy.active_service), rollout.current_hash):
        return strategy.active_service, Stage.AFTER_SWITCH
    if not strategy.preview_service:
        raise CannotTell(
            Reason.NO_PREVIEW_SERVICE,
            f"Rollout {rollout.name} has no previewService, so before the switch green is in no target group: "
            "add a previewService behind its own listener rule, or ask after the switch",
        )
    return strategy.preview_service, Stage.BEFORE_SWITCH


def _choose_ping_pong(rollout: Rollout, ping: str, pong: str) -> tuple[str, Stage]:
    """While rolling green is behind the Service that is not stable; promotion only swaps the names.

    An empty `stablePingPong` means that pong is stable (rollout/trafficrouting/service_helper.go).
    """
    stable, other = (ping, pong) if rollout.stable_ping_pong == "ping" else (pong, ping)
    rolling = bool(rollout.stable_hash) and rollout.stable_hash != rollout.current_hash
    return (other, Stage.BEFORE_SWITCH) if rolling else (stable, Stage.AFTER_SWITCH)


def _choose_canary(topology: Topology, rollout: Rollout, strategy: Canary) -> tuple[str, Stage]:
    """Take the stable Service once it selects green, before that the canary Service."""
    stable = strategy.stable_service
    if stable and selects(topology.services.get(stable), rollout.current_hash):
        return stable, Stage.AFTER_SWITCH
    if not strategy.canary_service:
        raise CannotTell(
            Reason.NO_STRATEGY_SERVICE,
            f"The canary strategy of Rollout {rollout.name} names no canaryService, so green has no target group of "
            "its own: set canaryService and stableService, or pingPong",
        )
    return strategy.canary_service, Stage.BEFORE_SWITCH


def _stage_of(topology: Topology, rollout: Rollout, service: str) -> Stage:
    """Give the stage of a Service that the asker chose: after the switch only for one that carries production."""
    match rollout.strategy:
        case BlueGreen(active_service=production):
            pass
        case Canary(ping_service=str(ping), pong_service=str(pong)):
            production, stage = _choose_ping_pong(rollout, ping, pong)
            production = production if stage is Stage.AFTER_SWITCH else ""
        case Canary(stable_service=production):
            pass
    after = service == production and selects(topology.services.get(service), rollout.current_hash)
    return Stage.AFTER_SWITCH if after else Stage.BEFORE_SWITCH


def _bindings(topology: Topology, service: Service) -> tuple[Binding, ...]:
    """Return the bindings of a Service, if each can be followed to its targets."""
    bindings = tuple(one for one in topology.bindings if one.service == service.name)
    if not bindings:
        raise CannotTell(
            Reason.NO_BINDING,
            f"No TargetGroupBinding names Service {service.name}, so no load balancer checks it: let an Ingress, "
            "Gateway or TargetGroupBinding use it",
        )
    for binding in bindings:
        if service_port(service, binding) is None:
            raise CannotTell(
                Reason.SERVICE_PORT_NOT_FOUND,
                f"TargetGroupBinding {binding.name} names port {binding.port}, which Service {service.name} does not "
                "have; the load balancer controller empties such a target group",
            )
    return bindings


def service_port(service: Service, binding: Binding) -> ServicePort | None:
    """Resolve `serviceRef.port`: a number is a ServicePort's port, a text its name, never a targetPort.

    Source: aws-load-balancer-controller pkg/k8s/service_utils.go.
    """
    wanted = binding.port
    return next((one for one in service.ports if wanted == (one.port if isinstance(wanted, int) else one.name)), None)
