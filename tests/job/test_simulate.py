"""`swapperctl simulate` as installed, on what the router itself wrote to the journal."""

import json
from pathlib import Path

from tests.job.house import ask, chat, question, run, until

CONFIG = "/etc/swapper/swapper.yaml"


def test_what_the_router_recorded_can_be_simulated() -> None:
    for model in ("alpha", "alpha", "beta", "alpha"):
        chat(model)
    last = ask("POST", "/v1/chat/completions", question("gamma")).headers["X-Request-Id"]
    about = ("journalctl", "--output=cat", f"REQUEST_ID={last}")  # where there is nothing, it says so
    until(lambda: "gamma: 200" in run(*about), "the last request is in the journal")
    since = run("systemctl", "show", "swapper.service", "--property=InvocationID", "--value").strip()
    entries = run("journalctl", f"_SYSTEMD_INVOCATION_ID={since}", "--output=json")
    found = json.loads(run("swapperctl", "simulate", "--journal", "--config", CONFIG, "--json", text=entries))
    assert list(found["policies"]) == ["ours", "fcfs", "swap-always", "collation"]
    for figures in found["policies"].values():
        assert (figures["answered"], figures["rejected"], figures["swaps"]) == (5, 0, 2)
        counts = {name: waits["count"] for name, waits in figures["models"].items()}
        assert counts == {"alpha": 3, "beta": 1, "gamma": 1}
        assert 0 < figures["waits"]["max"] < 60
    assert not any("no load was seen" in note for note in found["notes"])


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "w.jsonl").write_text("oops\n")
    said = run("swapperctl", "simulate", "--workload", str(tmp_path / "w.jsonl"), check=False)
    assert said.startswith(f"swapperctl: {tmp_path}/w.jsonl:1: this is not JSON")
    assert run("bash", "-c", "swapperctl simulate --workload none; echo $?", check=False).endswith("\n2\n")
