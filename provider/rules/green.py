"""Finding green: which ReplicaSet is green, and which one Service's target groups are judged.

Pure rules over one Topology, in the order in which they decide. Each rule that cannot go on raises CannotTell with its
own reason. Sources: argoproj/argo-rollouts rollout/service.go, rollout/trafficrouting/service_helper.go,
utils/rollout/rolloututil.go.
"""

from provider.model.answer import Observed
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import (
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
from provider.rules.green_size import why_no_pods


def find_green(topology: Topology, asked_hash: str | None) -> Green:
    """Return the Rollout's newest ReplicaSet, if Argo and Kubernetes have acted on the newest specs.

    `asked_hash` is the hash that the caller calls green; None accepts any.
    Raises CannotTell: RolloutNotObserved, Superseded, ReplicaSetNotFound, ReplicaSetNotObserved, NoPods,
    NoPodsDesired.
    """
    rollout = topology.rollout
    _require_observed(rollout)
    if asked_hash and asked_hash != rollout.current_hash:
        raise CannotTell(
            Reason.SUPERSEDED,
            f"Pod template hash {asked_hash} is not the current green of Rollout {rollout.name}; that is "
            f"{rollout.current_hash or 'not known yet'}",
        )
    owned = [replica_set for replica_set in topology.replica_sets if replica_set.owner_uid == rollout.uid]
    if not owned:
        raise CannotTell(
            Reason.REPLICA_SET_NOT_FOUND,
            f"Rollout {rollout.name} has no ReplicaSet of pod template hash {rollout.current_hash or '(none)'} yet",
        )
    replica_set = owned[0]
    if replica_set.observed_generation < replica_set.generation:
        raise CannotTell(
            Reason.REPLICA_SET_NOT_OBSERVED,
            f"Kubernetes has not processed the latest change of ReplicaSet {replica_set.name} yet",
        )
    if replica_set.replicas < 1:
        scaled = f"Green ReplicaSet {replica_set.name} is scaled to 0"
        why = why_no_pods(rollout, _apparent_stage(topology))
        if why:
            raise CannotTell(Reason.NO_PODS_DESIRED, f"{scaled}: {why}")
        raise CannotTell(Reason.NO_PODS, f"{scaled} (aborted, or not scaled up yet)")
    # Keyed by uid, so that a pod listed twice cannot stand in for a missing one.
    pods = {pod.uid: pod for pod in topology.pods if pod.owner_uid == replica_set.uid and not pod.terminating}
    return Green(rollout, replica_set, tuple(pods.values()), topology.read_at, topology.pods_read_at)


def _require_observed(rollout: Rollout) -> None:
    """Refuse a status that Argo wrote for an older spec, or for an older template of the workloadRef."""
    if not rollout.is_observed:
        kind, newest, observed = rollout.progress
        raise CannotTell(
            Reason.ROLLOUT_NOT_OBSERVED,
            f"Argo has not processed the latest change of Rollout {rollout.name} yet ({kind} {newest}, observed "
            f"{observed or 'none'})",
        )


def production_of(rollout: Rollout) -> str | None:
    """Return the Service by which users reach the stable version; None for a canary that names none.

    Of a ping-pong pair it is the stable one; an empty `stablePingPong` means that pong is
    (rollout/trafficrouting/service_helper.go).
    """
    match rollout.strategy:
        case Canary(ping_service=str(ping), pong_service=str(pong)):
            return ping if rollout.stable_ping_pong == "ping" else pong
        case strategy:
            return strategy.production_service


def stage_of(topology: Topology) -> Stage:
    """Tell whether green takes production traffic by its own Service yet.

    Ping-pong: once promoted, since promotion only swaps the names; otherwise by the selector of the production Service.
    Raises CannotTell (ServiceNotFound): what an absent production Service selected is unknown.
    """
    production = production_of(topology.rollout)
    if production:
        require_service(topology, production)
    return _apparent_stage(topology)


def _apparent_stage(topology: Topology) -> Stage:
    """Return the stage; before the switch if the production Service does not exist."""
    rollout, production = topology.rollout, production_of(topology.rollout)
    if rollout.is_ping_pong:
        return Stage.BEFORE_SWITCH if rollout.stable_hash and rollout.is_rolling else Stage.AFTER_SWITCH
    switched = bool(production) and selects(topology.services.get(production or ""), rollout.current_hash)
    return Stage.AFTER_SWITCH if switched else Stage.BEFORE_SWITCH


def require_service(topology: Topology, name: str) -> Service:
    """Return a Service of the strategy. Raises CannotTell: ServiceNotFound."""
    service = topology.services.get(name)
    if service is None:
        raise service_not_found(topology.rollout, name)
    return service


def service_not_found(rollout: Rollout, name: str) -> CannotTell:
    """Return the CannotTell for a Service of the strategy that does not exist."""
    return CannotTell(
        Reason.SERVICE_NOT_FOUND,
        f"Service {name} of Rollout {rollout.name} does not exist in namespace {rollout.namespace}",
    )


def require_stage(topology: Topology, asked: Stage | None) -> None:
    """Raise CannotTell if the stage is not the one asked for: ServiceNotFound, NotSwitched, AlreadySwitched."""
    now = stage_of(topology)
    if asked is None or now is asked:
        return
    rollout = topology.rollout
    green = f"green ({rollout.current_hash or 'no hash yet'})"
    observed: Observed = {"stage": now.value, "podTemplateHash": rollout.current_hash}
    if now is Stage.BEFORE_SWITCH:
        raise CannotTell(
            Reason.NOT_SWITCHED,
            f"Rollout {rollout.name} has not switched to {green} yet, and stage=afterSwitch was asked for",
            observed,
        )
    raise CannotTell(
        Reason.ALREADY_SWITCHED,
        f"Rollout {rollout.name} has already switched to {green}, and stage=beforeSwitch was asked for",
        observed,
    )


def find_service(topology: Topology, green: Green, asked_service: str | None) -> GreenService:
    """Return the Service whose target groups are judged, once it selects green, with its bindings and endpoints.

    `asked_service` overrides the choice by another of the strategy's Services.
    Raises CannotTell: NoPreviewService, NoStrategyService, ServiceNotInStrategy, ServiceNotFound, ServiceNotSwitched,
    NoBinding, ServicePortNotFound.
    """
    rollout = green.rollout
    if asked_service and asked_service not in rollout.strategy.services:
        names = ", ".join(rollout.strategy.services) or "none"
        raise CannotTell(
            Reason.SERVICE_NOT_IN_STRATEGY,
            f"Service {asked_service} is not in the strategy of Rollout {rollout.name}, whose Services are: {names}",
        )
    name, stage = _choose(topology, rollout)
    if asked_service and asked_service != name:
        name, stage = asked_service, _stage_of(topology, rollout, asked_service)
    service = require_service(topology, name)
    if not selects(service, rollout.current_hash):
        selected = service.selector.get(HASH_LABEL)
        now = f"pod template hash {selected}" if selected else "no pod template hash"
        raise CannotTell(
            Reason.SERVICE_NOT_SWITCHED,
            f"Service {name} does not select green ({rollout.current_hash}) yet: its selector has {now}",
        )
    endpoints = tuple(endpoint for endpoint in topology.endpoints if endpoint.service == name)
    return GreenService(
        service=service,
        stage=stage,
        endpoints=topology.endpoints if len(endpoints) == len(topology.endpoints) else endpoints,
        bindings=bindings_of(topology, service),
    )


def find_blue_bindings(topology: Topology, green: Green) -> tuple[Binding, ...]:
    """Return the bindings of the production Service while it selects blue, else none."""
    rollout = green.rollout
    name = production_of(rollout)
    if not name or not selects(topology.services.get(name), rollout.stable_hash):
        return ()
    if rollout.stable_hash == rollout.current_hash:
        return ()
    return tuple(binding for binding in topology.bindings if binding.service == name)


def selects(service: Service | None, pod_hash: str) -> bool:
    """Tell whether a Service's selector has the hash, which decides where its traffic goes."""
    return service is not None and bool(pod_hash) and service.selector.get(HASH_LABEL) == pod_hash


def _choose(topology: Topology, rollout: Rollout) -> tuple[str, Stage]:
    stage = stage_of(topology)
    match rollout.strategy:
        case BlueGreen() as strategy:
            return _choose_blue_green(rollout, strategy, stage), stage
        case Canary(ping_service=str(ping), pong_service=str(pong)):
            # During a rollout green is behind the Service that is not stable; promotion only swaps the names.
            is_ping = (production_of(rollout) == ping) is (stage is Stage.AFTER_SWITCH)
            return (ping if is_ping else pong), stage
        case Canary() as strategy:
            return _choose_canary(rollout, strategy, stage), stage


def _choose_blue_green(rollout: Rollout, strategy: BlueGreen, stage: Stage) -> str:
    """Choose the active Service once it selects green, before that the preview Service."""
    if stage is Stage.AFTER_SWITCH:
        return strategy.active_service
    if not strategy.preview_service:
        raise CannotTell(
            Reason.NO_PREVIEW_SERVICE,
            f"Rollout {rollout.name} has no previewService, so before the switch green is in no target group: "
            "add a previewService behind its own listener rule, or ask after the switch",
        )
    return strategy.preview_service


def _choose_canary(rollout: Rollout, strategy: Canary, stage: Stage) -> str:
    """Choose the stable Service once it selects green, before that the canary Service."""
    if stage is Stage.AFTER_SWITCH and strategy.stable_service:
        return strategy.stable_service
    if not strategy.canary_service:
        raise CannotTell(
            Reason.NO_STRATEGY_SERVICE,
            f"The canary strategy of Rollout {rollout.name} names no canaryService, so green has no separate target "
            "group: set canaryService and stableService, or pingPong",
        )
    return strategy.canary_service


def _stage_of(topology: Topology, rollout: Rollout, service: str) -> Stage:
    """Return the stage of a Service that the caller chose: AfterSwitch only for the production Service."""
    after = service == production_of(rollout) and stage_of(topology) is Stage.AFTER_SWITCH
    return Stage.AFTER_SWITCH if after else Stage.BEFORE_SWITCH


def bindings_of(topology: Topology, service: Service) -> tuple[Binding, ...]:
    """Return the bindings of a Service. Raises CannotTell: NoBinding, ServicePortNotFound."""
    bindings = tuple(binding for binding in topology.bindings if binding.service == service.name)
    if not bindings:
        weight = (
            ". If a rule or route does, but with weight 0, the load balancer controller may make no binding: give it "
            "weight 1, or upgrade the controller."
        )
        raise CannotTell(
            Reason.NO_BINDING,
            f"No TargetGroupBinding names Service {service.name}, so no load balancer checks it: let an Ingress, "
            f"Gateway or TargetGroupBinding use it{weight if isinstance(topology.rollout.strategy, Canary) else ''}",
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
    by_number = isinstance(binding.port, int)
    return next((port for port in service.ports if binding.port == (port.port if by_number else port.name)), None)
