"""The command line of bin/bench."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import chosen, main
from benchmarks.child import measure_of
from benchmarks.peers import PEERS
from benchmarks.round import Load
from benchmarks.workloads import WORKLOADS


def test_all_workloads_unless_some_are_named() -> None:
    assert [workload.name for workload in chosen([], [], [])] == list(WORKLOADS)
    [stores] = chosen(["stores"], ["put"], ["kombu_green"])
    assert [(case.name, case.peers) for case in stores.cases] == [("put", ("kombu_green",))]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["memroy"], "there is no workload 'memroy'; did you mean 'memory'?"),
        (["stores", "--case", "get"], "there is no case 'get' (there are:"),
        (["--rounds", "0"], "argument --rounds: invalid positive value: '0'"),
        (["--peer", "nobody"], "argument --peer: invalid choice"),
    ],
)
def test_a_mistake_is_told(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_every_peer_of_a_case_is_there_and_ours_does_it() -> None:
    for workload in WORKLOADS.values():
        for case in workload.cases:
            assert set(case.peers) <= set(PEERS)
            load = Load(workload.name, case.name, case.messages, case.warm_up, case.seconds, "", "")
            if "kombu_green" in case.peers:
                assert callable(measure_of(PEERS["kombu_green"].module, load))
