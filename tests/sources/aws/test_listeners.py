"""What listener rules say of a target group, and which security groups load balancers have."""

from dataclasses import replace

import pytest

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Binding, Freshness, Place
from provider.sources.deadline import Deadline
from tests.world.aws.api import REGION, forward


@pytest.fixture
def deadline():
    return Deadline(10)


def described(sources, deadline, arn):
    """The target group of an ARN, as the reader knows it."""
    binding = Binding(name="web", service="web", port=80, arn=arn, group_name="", family="IPv4", role_arn="")
    (known,) = sources.load_balancers.groups((binding,), deadline)
    return known.value


def test_the_weight_of_every_rule_is_read(world, sources, deadline):
    """Weights come from every rule that names the group, default actions included, and 0 is one of them."""
    stable, canary = (world.aws.target_group(name, attached=False) for name in ("stable", "canary"))
    for weights in ({stable: 0, canary: 100}, {stable: 5, canary: 95}, {canary: 1}):
        world.aws.rule(weights)
    listener = world.aws.client().describe_listeners(LoadBalancerArn=world.aws.load_balancer())["Listeners"][0]
    world.aws.client().modify_listener(ListenerArn=listener["ListenerArn"], DefaultActions=[forward({stable: 7})])

    found = sources.load_balancers.listeners.weights(described(sources, deadline, stable), deadline)

    assert sorted(found) == [0, 5, 7]


def test_a_rule_without_weights_gives_everything(world, sources, deadline):
    """A rule that forwards to one group by its ARN alone has no weight to read, and sends it all of its requests."""
    arn = world.aws.target_group("web", attached=False)
    listener = world.aws.client().describe_listeners(LoadBalancerArn=world.aws.load_balancer())["Listeners"][0]
    world.aws.client().create_rule(
        ListenerArn=listener["ListenerArn"],
        Priority=99,
        Conditions=[{"Field": "path-pattern", "Values": ["/web/*"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": arn}],
    )

    assert sources.load_balancers.listeners.weights(described(sources, deadline, arn), deadline) == (1,)


@pytest.mark.parametrize("freshness", [Freshness()])
def test_two_queries_read_the_weights_once(world, sources, deadline):
    """Weights are shared for as long as the health of targets, so a second query makes no call."""
    arn = world.aws.target_group("web")
    group = described(sources, deadline, arn)
    world.aws.faults.forget_calls()
    first, second = (sources.load_balancers.listeners.weights(group, deadline) for _ in range(2))

    assert first == second == (1,)
    assert [call.name for call in world.aws.calls] == ["DescribeListeners", "DescribeRules"]


def test_the_hosts_of_the_rules_are_read(world, sources, deadline):
    """Hosts come from the conditions of each rule that forwards to the group, and then the load balancer's own name."""
    green, other = (world.aws.target_group(name, attached=False) for name in ("green", "other"))
    world.aws.rule({green: 1}, host="Preview.example.com")
    world.aws.rule({green: 0, other: 1}, host="*.example.com")
    world.aws.rule({other: 1}, host="other.example.com")
    world.aws.rule({green: 1})

    groups = [described(sources, deadline, arn) for arn in (green, other)]
    world.aws.faults.forget_calls()
    found = sources.load_balancers.listeners.hosts(groups, deadline)

    assert [call.name for call in world.aws.calls] == ["DescribeListeners", "DescribeRules", "DescribeLoadBalancers"]
    [balancer] = world.aws.client().describe_load_balancers()["LoadBalancers"]
    assert found == {
        green: ("preview.example.com", "*.example.com", balancer["DNSName"]),
        other: ("*.example.com", "other.example.com", balancer["DNSName"]),
    }


def test_security_groups_are_read_by_load_balancer(world, sources, deadline):
    """Each load balancer has its own security groups; one that AWS does not know is an error, never without any."""
    arns = [world.aws.load_balancer(name) for name in ("one", "two")]
    made = [
        world.aws.client("ec2").create_security_group(GroupName=name, Description="of a test")["GroupId"]
        for name in ("sg-one", "sg-two")
    ]
    for arn, group in zip(arns, made, strict=True):
        world.aws.client().set_security_groups(LoadBalancerArn=arn, SecurityGroups=[group])

    found = sources.load_balancers.listeners.security_groups(arns, Place(REGION), deadline)

    assert found == {arn: {group} for arn, group in zip(arns, made, strict=True)}
    with pytest.raises(CannotTell) as refusal:
        sources.load_balancers.listeners.security_groups([arns[0] + "x"], Place(REGION), deadline)
    assert refusal.value.reason is Reason.AWS_REJECTED


@pytest.mark.parametrize("operation", ["DescribeListeners", "DescribeRules"])
def test_a_refusal_names_the_action(world, sources, deadline, operation):
    """A role that may not read listeners or rules is told which action it lacks."""
    arn = world.aws.target_group("web")
    group = described(sources, deadline, arn)
    world.aws.faults.aws_error(operation, "AccessDenied", "no", 403)

    with pytest.raises(CannotTell, match=f"elasticloadbalancing:{operation}") as refusal:
        sources.load_balancers.listeners.weights(group, deadline)
    assert refusal.value.reason is Reason.AWS_FORBIDDEN


LISTENERS = """<DescribeListenersResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">
<DescribeListenersResult><Listeners><member><ListenerArn>arn:of:a:listener</ListenerArn><DefaultActions><member>
<Type>forward</Type><ForwardConfig><TargetGroups>
<member><TargetGroupArn>{arn}</TargetGroupArn><Weight>30</Weight></member>
<member><TargetGroupArn>{arn}-other</TargetGroupArn><Weight>70</Weight></member>
</TargetGroups></ForwardConfig></member></DefaultActions></member></Listeners></DescribeListenersResult>
</DescribeListenersResponse>"""


def test_a_network_load_balancer_has_no_rules(world, sources, deadline):
    """Behind a Network Load Balancer weights come from its listeners' own actions, and rules are not asked for."""
    arn = world.aws.target_group("web")
    group = described(sources, deadline, arn)
    # moto names every load balancer like an Application Load Balancer, and has no weights there.
    [balancer] = group.load_balancer_arns
    network = replace(group, load_balancer_arns=(balancer.replace("/app/", "/net/"),))
    body = LISTENERS.format(arn=arn).replace("\n", "")
    world.aws.faults.add("DescribeListeners", status=200, body=body, content_type="text/xml")
    world.aws.faults.forget_calls()

    assert sources.load_balancers.listeners.weights(network, deadline) == (30,)
    assert [call.name for call in world.aws.calls] == ["DescribeListeners"]
