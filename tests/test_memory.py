"""The memory of the served provider is bounded in bytes, whatever is in the objects of the cluster."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.scene import Scene
from tests.server import PATIENCE, PATIENT, Server, bare_environment

ROLLOUTS, AT_ONCE, NAMESPACES = 200, 32, 20
LIMIT_MIB, LIMIT_WITH_PAGES_MIB = 160, 256
KIB = 1024

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def peak_mib(pid: int) -> float:
    """The most memory that a process or a child of it ever had resident: gunicorn's worker."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    peaks = []
    for one in (str(pid), *children):
        status = Path(f"/proc/{one}/status").read_text(encoding="ascii")
        peaks.append(int(status.partition("VmHWM:")[2].split()[0]) / KIB)
    return max(peaks)


def build(world, number):
    """One Rollout about as large as etcd stores an object, aborted or invalid, with an AnalysisRun."""
    scene = Scene(world, name=f"web-{number}", namespace=f"shop-{number % NAMESPACES}", replicas=1).build()
    run = scene.analysis_run(measurements=[("Successful", 100, "fine")])
    status = scene.rollout["status"]
    status["message"] = "x" * 700 * KIB
    status["conditions"] = [{"type": "InvalidSpec", "status": str(number % 4 == 0), "message": "token" * 80 * KIB}]
    status["abort"] = number % 4 == 1
    status["blueGreen"] = {"prePromotionAnalysisRunStatus": {"name": run, "status": "Running", "message": "a:" * KIB}}
    scene.rollout["metadata"]["annotations"] = {"note": "y" * 200 * KIB}
    result = world.kubernetes.get("AnalysisRun", scene.namespace, run)
    result["spec"]["metrics"][0]["provider"]["web"]["url"] += "&x=" + "u" * 300 * KIB
    result["status"]["metricResults"][0]["measurements"] = [{"value": "z" * 500 * KIB, "message": "-" * 500 * KIB}]
    scene.put(result)
    return f"namespace={scene.namespace}&rollout={scene.name}", f"/rollouts/{scene.namespace}/{scene.name}"


def test_200_rollouts_with_large_texts_fit_into_bounded_memory(world, tmp_path):
    """Queries about 200 Rollouts of 1.3 MiB each, 32 at a time, take less than 160 MiB, with pages less than 256."""
    addresses = [build(world, number) for number in range(ROLLOUTS)]
    environment = bare_environment(world.environment(tmp_path)) | PATIENT
    with Server(environment, tmp_path) as server, ThreadPoolExecutor(AT_ONCE) as pool:

        def get(path: str) -> str:
            response = server.session.get(
                server.url + path, headers={"Accept": "text/html, */*;q=0.1"}, timeout=PATIENCE
            )
            assert response.status_code == 200, response.text
            return response.text

        for _ in range(2):
            answers = list(pool.map(lambda one: get(f"/v1/gate?{one[0]}&checks=replicas,target-health"), addresses))
        peak_of_queries = peak_mib(server.process.pid)
        pages = list(pool.map(lambda one: get(one[1]), addresses))
        histories = list(pool.map(lambda one: get(f"/v1/history?{one[0]}"), addresses))
        peak = peak_mib(server.process.pid)
        log = server.log.read_text(encoding="ascii")

    assert [sum(reason in answer for answer in answers) for reason in ("InvalidSpec", "RolloutAborted")] == [50, 50]
    assert sum("AllChecksPassed" in answer for answer in answers) == 100
    assert max(map(len, pages)) < 40 * KIB
    assert max(map(len, histories)) < 8 * KIB
    assert max(map(len, log.splitlines())) < 4 * KIB
    assert peak_of_queries < LIMIT_MIB
    assert peak < LIMIT_WITH_PAGES_MIB
