"""Checks JSON results against man/tasker-json.5: the keys, their order, and the type
of each value. Usage: check_json.py PAGE FILE..."""

import json
import re
import sys

NUMBER = (int, float)
KINDS = {
    "object": {"schema_version": int, "workflow_metadata": dict, "execution_summary": dict,
               "task_results": dict, "variables": dict},
    "workflow_metadata": {"task_file": str, "execution_id": (str, type(None)),
                          "project": (str, type(None)), "status": str, "exit_code": int,
                          "start_time": str, "end_time": str, "duration_seconds": NUMBER,
                          "log_file": (str, type(None)), "change": (str, type(None)),
                          "tasker_version": str},
    "execution_summary": {"total_tasks": int, "executed": int, "succeeded": int, "failed": int,
                          "timeouts": int, "skipped": int, "execution_path": list,
                          "final_task": (int, type(None)), "failure_info": (dict, type(None)),
                          "outcomes": dict},
    "failure_info": {"task_id": (int, type(None)), "exit_code": int, "error": str,
                     "resume_command": (str, type(None)), "resume_notes": list},
    "result": {"name": str, "hostname": str, "command": str, "outcome": str, "exit_code": int,
               "stdout": str, "stdout_bytes": int, "stderr": str, "stderr_bytes": int,
               "success": bool, "skipped": bool, "timed_out": bool, "attempts": int,
               "start_time": (str, type(None)), "duration": (*NUMBER, type(None)),
               "cpu_seconds": (*NUMBER, type(None)), "peak_memory_bytes": int,
               "cause": (str, type(None)), "stdout_lost": (str, type(None)),
               "stderr_lost": (str, type(None)), "connect_start_time": (str, type(None)),
               "connect_seconds": (*NUMBER, type(None)), "hosts": list, "members": list},
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$")
OUTCOMES = ["ok", "failed", "timeout", "unreachable", "cancelled", "not_started", "skipped",
            "unknown"]


def documented(page):
    """The keys of each section of the page, in order."""
    keys, section, inner = {}, None, False
    for line in open(page):
        if line.startswith(".Ss "):
            section = line[4:].strip().removeprefix("The ").removeprefix("A ")
            keys[section] = []
        elif line.startswith(".Bl ") and "resume_command" in line:
            keys["failure_info"], inner = [], True
        elif line.startswith(".El"):
            inner = False
        elif line.startswith(".It Cm ") and section:
            names = [n.strip().removeprefix("Cm ") for n in line[7:].split(",")]
            keys["failure_info" if inner else section].extend(names)
    return keys


def once(pairs):
    assert len(pairs) == len({k for k, _ in pairs}), "a key appears twice"
    return dict(pairs)


def check_object(found, section, keys, absent=()):
    wanted = [k for k in keys[section] if k not in absent]
    assert list(found) == wanted, f"{section}: {list(found)} is not {wanted}"
    for key, value in found.items():
        kind = KINDS[section][key]
        assert isinstance(value, kind), f"{section}.{key}: {value!r}"
        if isinstance(value, bool) and kind is int:
            raise AssertionError(f"{section}.{key} is not a number")
        if key.endswith("_time") and value is not None:
            assert TIME.match(value), value


def check_result(result, keys, of_host):
    absent = {"hosts", "members"} - set(result)
    assert len(absent) > 0, "hosts and members"
    if of_host:
        absent |= {"name", "hosts", "members"}
    check_object(result, "result", keys, absent)
    assert result["outcome"] in OUTCOMES
    assert result["success"] == (result["outcome"] == "ok")
    assert result["skipped"] == (result["outcome"] == "skipped")
    for host in result.get("hosts", []):
        check_result(host, keys, True)


def check(text, keys):
    found = json.loads(text, object_pairs_hook=once)
    check_object(found, "object", keys)
    meta, summary = found["workflow_metadata"], found["execution_summary"]
    check_object(meta, "workflow_metadata", keys)
    check_object(summary, "execution_summary", keys)
    assert meta["status"] == ("success" if meta["exit_code"] == 0 else "failed")
    if summary["failure_info"] is not None:
        check_object(summary["failure_info"], "failure_info", keys)
    assert (summary["failure_info"] is None) == (meta["exit_code"] == 0)
    results, outcomes = found["task_results"], summary["outcomes"]
    assert list(outcomes) == OUTCOMES
    for word in OUTCOMES:
        assert outcomes[word] == sum(r["outcome"] == word for r in results.values()), word
    parts = summary["succeeded"] + summary["failed"] + summary["timeouts"]
    assert summary["executed"] == parts
    assert summary["executed"] + outcomes["skipped"] + outcomes["not_started"] == len(results)
    assert all(str(id) in results for id in summary["execution_path"])
    for result in results.values():
        check_result(result, keys, False)


def main():
    page, *files = sys.argv[1:]
    keys = documented(page)
    assert {s: list(k) for s, k in KINDS.items()} == keys, f"{page} says {keys}"
    for name in files:
        data = open(name, "rb").read()
        assert data.endswith(b"}\n") and data.count(b"\n") == 1, name
        check(data.decode("utf-8"), keys)


main()
