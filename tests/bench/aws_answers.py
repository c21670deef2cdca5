"""The bytes of AWS: ELBv2's Describe calls in its XML, CloudWatch's GetMetricData in JSON."""

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from tests.bench.subjects import PORT, ZONES, Subject
from tests.bench.wire import Answer, Request, ok

REQUESTS_PER_MINUTE = 600
_NAMESPACE = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"
_REQUEST_ID = (
    "<ResponseMetadata>\n    <RequestId>5f2a6a3e-0000-4000-8000-0123456789ab</RequestId>\n  </ResponseMetadata>"
)


class AwsAnswers:
    """Answers POSTs of both services."""

    def __init__(self, subjects: Iterable[Subject]) -> None:
        self._groups = {subject.arn: _group(subject) for subject in subjects}
        self._by_name = {subject.group_name: subject.arn for subject in subjects}
        self._by_load_balancer: dict[str, list[str]] = {}
        self._targets: dict[str, dict[str, str]] = {}
        self._health: dict[str, bytes] = {}
        for subject in subjects:
            self._by_load_balancer.setdefault(subject.load_balancer_arn, []).append(subject.arn)
            self.change(subject)

    def change(self, subject: Subject) -> None:
        """Let the targets of this Rollout be as it says."""
        members = {address: _target(address, state, place) for place, (address, state) in enumerate(subject.states)}
        self._targets[subject.arn] = members
        self._health[subject.arn] = _health("".join(members.values()))

    def __call__(self, request: Request) -> Answer:
        """Return the answer to a request."""
        if "x-amz-target" in request.headers:
            return Answer(200, ok(_metrics(request.body), "application/x-amz-json-1.0"), "GetMetricData")
        form = dict(parse_qsl(request.body))
        action, about = form["Action"], form.get("TargetGroupArn", "")
        if action == "DescribeTargetGroups":
            return Answer(200, self._target_groups(form), action)
        if action == "DescribeTargetHealth" and about in self._health:
            return Answer(200, self._target_health(about, form), action, about)
        return Answer(400, _error(400, "TargetGroupNotFound", "One or more target groups not found"), action, about)

    def _target_groups(self, form: Mapping[str, str]) -> bytes:
        asked = [value for name, value in form.items() if name.startswith("TargetGroupArns.member.")]
        asked += [self._by_name[value] for name, value in form.items() if name.startswith("Names.member.")]
        if "LoadBalancerArn" in form:
            asked += self._by_load_balancer[form["LoadBalancerArn"]]
        every = asked or list(self._groups)
        first, size = int(form.get("Marker", 0)), int(form.get("PageSize", 400))
        more = f"<NextMarker>{first + size}</NextMarker>" if first + size < len(every) else ""
        members = "".join(self._groups[arn] for arn in every[first : first + size])
        return _result("DescribeTargetGroups", f"<TargetGroups>{members}\n    </TargetGroups>{more}")

    def _target_health(self, arn: str, form: Mapping[str, str]) -> bytes:
        wanted = [value for name, value in form.items() if re.fullmatch(r"Targets\.member\.\d+\.Id", name)]
        if not wanted:
            return self._health[arn]
        known = self._targets[arn]
        return _health("".join(known.get(one) or _target(one, "unused", 0) for one in wanted))


def _result(action: str, content: str) -> bytes:
    text = (
        f'<{action}Response xmlns="{_NAMESPACE}">\n  <{action}Result>\n    {content}\n  </{action}Result>\n'
        f"  {_REQUEST_ID}\n</{action}Response>\n"
    )
    return ok(text.encode(), "text/xml")


def _error(status: int, code: str, message: str) -> bytes:
    text = (
        f'<ErrorResponse xmlns="{_NAMESPACE}">\n  <Error>\n    <Type>Sender</Type>\n    <Code>{code}</Code>\n'
        f"    <Message>{message}</Message>\n  </Error>\n  <RequestId>5f2a6a3e</RequestId>\n</ErrorResponse>\n"
    )
    return ok(text.encode(), "text/xml", status)


def _health(members: str) -> bytes:
    return _result("DescribeTargetHealth", f"<TargetHealthDescriptions>{members}\n    </TargetHealthDescriptions>")


_WORDS = {
    "healthy": ("healthy", "", ""),
    "initial": ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress"),
    "unused": ("unused", "Target.NotRegistered", "Target is not registered to the target group"),
}


def _target(address: str, state: str, place: int) -> str:
    """One entry as AWS writes it; AdministrativeOverride is there since zonal shift."""
    word, reason, description = _WORDS[state]
    why = f"\n          <Reason>{reason}</Reason>\n          <Description>{description}</Description>" if reason else ""
    return f"""
      <member>
        <AdministrativeOverride>
          <State>no_override</State>
          <Reason>AdministrativeOverride.NoOverride</Reason>
          <Description>No override is currently active on target</Description>
        </AdministrativeOverride>
        <HealthCheckPort>{PORT}</HealthCheckPort>
        <Target>
          <Id>{address}</Id>
          <Port>{PORT}</Port>
          <AvailabilityZone>{ZONES[place % 3]}</AvailabilityZone>
        </Target>
        <TargetHealth>
          <State>{word}</State>{why}
        </TargetHealth>
      </member>"""


def _group(subject: Subject) -> str:
    fields = {
        "TargetGroupArn": subject.arn,
        "TargetGroupName": subject.group_name,
        "Protocol": "HTTP",
        "ProtocolVersion": "HTTP1",
        "Port": "1",
        "VpcId": "vpc-0123456789abcdef0",
        "TargetType": "ip",
        "IpAddressType": "ipv4",
        "HealthCheckEnabled": "true",
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckPath": "/",
        "HealthCheckIntervalSeconds": "15",
        "HealthCheckTimeoutSeconds": "5",
        "HealthyThresholdCount": "2",
        "UnhealthyThresholdCount": "2",
    }
    lines = "".join(f"\n        <{name}>{value}</{name}>" for name, value in fields.items())
    behind = f"<LoadBalancerArns><member>{subject.load_balancer_arn}</member></LoadBalancerArns>"
    return f"\n      <member>{lines}\n        <Matcher><HttpCode>200</HttpCode></Matcher>\n        {behind}</member>"


def _metrics(body: str) -> bytes:
    """Requests in every minute and hosts that are healthy; errors have no points, as when there are none."""
    asked = json.loads(body)
    minutes = range(int(asked["StartTime"]) // 60 * 60, int(asked["EndTime"]), 60)
    points = {"RequestCount": REQUESTS_PER_MINUTE, "HealthyHostCount": 10}
    results = []
    for query in asked["MetricDataQueries"]:
        name = query["MetricStat"]["Metric"]["MetricName"]
        times = list(reversed(minutes)) if name in points else []
        values = [float(points[name])] * len(times) if times else []
        results.append(
            {"Id": query["Id"], "Label": name, "Timestamps": times, "Values": values, "StatusCode": "Complete"}
        )
    return json.dumps({"Messages": [], "MetricDataResults": results}).encode()
