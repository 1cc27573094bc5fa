"""Road networks are read as published, and what is wrong with a file is said with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from strategic_envs.data.tntp import tntp
from strategic_envs.errors import DataError
from strategic_envs.games.road_networks import network_of, road_network

NET = """<NUMBER OF ZONES> 2
<NUMBER OF NODES> 3
<FIRST THRU NODE> 3
<NUMBER OF LINKS> 3
<ORIGINAL HEADER>~ some columns ;
<END OF METADATA>

~\tinit_node\tterm_node\t;
\t1\t3\t10\t6\t2\t0.15\t4\t0\t1\t1\t;
\t3\t2\t20\t5\t1\t0.15\t4\t0\t0\t1\t;
\t3\t2\t0\t5\t3\t0\t0\t0\t0\t1\t;
"""
TRIPS = """<NUMBER OF ZONES> 2
<TOTAL OD FLOW> 12.0
<END OF METADATA>

Origin \t1
    1 :      2.0;     2 :    10.0;
Origin 2
"""
FLOW = "From \tTo \tVolume \tCost \n1 \t3 \t10 \t2.3 \n3 \t2 \t10 \t1.01 \n3 \t2 \t0 \t3 \n"


def write(folder: Path, net: str = NET, trips: str = TRIPS, flow: str | None = FLOW) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "Small_net.tntp").write_text(net, encoding="utf-8")
    (folder / "Small_trips.tntp").write_text(trips, encoding="utf-8")
    if flow is not None:
        (folder / "Small_flow.tntp").write_text(flow, encoding="utf-8")
    return folder


def test_the_three_files_of_a_network_are_read(tmp_path: Path) -> None:
    table = tntp("Small", write(tmp_path / "tntp").parent)  # in a folder of this name
    assert (table.name, table.zones, table.nodes, table.first_thru) == ("Small", 2, 3, 3)
    assert table.tails.tolist() == [1, 3, 3] and table.heads.tolist() == [3, 2, 2]
    assert table.capacity.tolist() == [10, 20, 0] and table.free_flow_time.tolist() == [2, 1, 3]
    assert table.trips == {(1, 2): 10.0} and float(table.demands.sum()) == 12  # those in zone 1 use no link
    assert table.volumes is not None and table.volumes.tolist() == [10, 10, 0]
    assert table.times is not None and table.times.tolist() == [2.3, 1.01, 3]
    assert tntp(tmp_path / "tntp" / "Small_net.tntp").demands.equal(table.demands)


def test_a_folder_is_found_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRATEGIC_ENVS_DATA", raising=False)
    with pytest.raises(DataError, match="pass data_dir=... or set STRATEGIC_ENVS_DATA"):
        tntp("Small")
    write(tmp_path, flow=None)
    monkeypatch.setenv("STRATEGIC_ENVS_DATA", str(tmp_path))
    assert tntp("Small").volumes is None


def test_a_network_is_a_game(tmp_path: Path) -> None:
    game = road_network("Small", write(tmp_path))
    assert game.paths == (((0, 1), (0, 2)),)
    assert game.wardrop().loads.tolist() == pytest.approx([10, 10, 0])
    assert game.known().values["potential"] == pytest.approx(game.wardrop().potential)
    tolled = network_of(tntp("Small", tmp_path), toll_factor=2.0, distance_factor=0.1)
    assert tolled.costs.value(game.wardrop().loads * 0).tolist() == pytest.approx([4.6, 1.5, 3.5])


def test_flow_files_of_the_older_form_are_read(tmp_path: Path) -> None:
    older = "<NUMBER OF NODES>\t3\n<END OF METADATA>\n~ Tail Head : Volume Cost ;\n" + "".join(
        f"\t{a}\t{b}\t:\t{v}\t{c}\t;\n" for a, b, v, c in ((3, 2, 7, 1), (1, 3, 10, 2), (3, 2, 3, 4))
    )
    table = tntp("Small", write(tmp_path, flow=older))
    assert table.volumes is not None and table.volumes.tolist() == [10, 7, 3]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("\t1\t3\t10", "\t1\t3", "net.tntp, line 9: got 9 fields, expected 10"),
        ("\t1\t3\t10", "\tx\t3\t10", "line 9: got 'x' as init_node, expected a whole number in 1..3"),
        ("\t1\t3\t10", "\t1\t4\t10", "line 9: got '4' as term_node, expected a whole number in 1..3"),
        ("\t1\t3\t10", "\t1\t3\t-10", "line 9: got '-10' as capacity, expected a finite number >= 0"),
        ("\t1\t3\t10", "\t1\t3\tnan", "line 9: got 'nan' as capacity"),
        ("\t1\t3\t10", "\t1\t3\t0", "line 9: got capacity 0 on a link whose time grows"),
        ("\t20\t5\t1\t", "\t20\t5\t-1\t", "line 10: got '-1' as free_flow_time"),
        ("\t0.15\t4\t0\t1", "\t0.15\t-4\t0\t1", "line 9: got '-4' as power"),
        ("NODES> 3", "NODES> three", "line 2: got 'three' as <NUMBER OF NODES>"),
        ("<NUMBER OF NODES> 3\n", "", "got no <NUMBER OF NODES>"),
        ("<NUMBER OF NODES>", "<NUMBER OF NODES", "line 2: got .* close the tag"),
        ("LINKS> 3", "LINKS> 4", "got 3 links, expected 4 as <NUMBER OF LINKS> says"),
        ("ZONES> 2", "ZONES> 4", "got 4 zones and 3 nodes"),
    ],
)
def test_a_wrong_network_file_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in NET
    with pytest.raises(DataError, match=says):
        tntp("Small", write(tmp_path, net=NET.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("10.0;", "-10.0;", "trips.tntp, line 6: got '-10.0' as the trips from 1 to 2, expected a finite number >= 0"),
        ("10.0;", "ten;", "line 6: got 'ten' as the trips"),
        ("2 :    10.0", "3 :    10.0", "line 6: got '3' as a destination, expected a whole number in 1..2"),
        ("2 :    10.0", "1 :    10.0", "line 6: got trips from 1 to 1 twice"),
        ("2 :    10.0", "2     10.0", "line 6: got '2     10.0', expected '<destination> : <trips>;'"),
        ("Origin 2", "Origin 5", "line 7: got '5' as an origin"),
        ("Origin \t1\n", "", "line 5: got .* before any origin"),
        ("12.0", "13.0", "got 12 trips, expected 13 as <TOTAL OD FLOW> says"),
        ("ZONES> 2", "ZONES> 3", "got <NUMBER OF ZONES> 3, expected 2"),
    ],
)
def test_a_wrong_file_of_trips_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in TRIPS
    with pytest.raises(DataError, match=says):
        tntp("Small", write(tmp_path, trips=TRIPS.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("10 \t2.3", "10", "flow.tntp, line 2: got 3 fields, expected 4"),
        ("1 \t3 \t10", "1 \t2 \t10", "line 2: got a link 1 -> 2 that the network's file has not"),
        ("1 \t3 \t10", "1 \t3 \t-1", "line 2: got '-1' as a volume"),
        ("3 \t2 \t0 \t3 \n", "", "got volumes of 2 links, expected 3"),
        ("3 \t2 \t0 \t3 \n", "1 \t3 \t0 \t3 \n", r"line 4: got a link 1 -> 3 .*\(so often\)"),
    ],
)
def test_a_wrong_file_of_flows_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in FLOW
    with pytest.raises(DataError, match=says):
        tntp("Small", write(tmp_path, flow=FLOW.replace(old, new, 1)))


def test_missing_files_and_other_spellings_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        tntp("Small", tmp_path / "nowhere")
    with pytest.raises(DataError, match="does not exist"):
        tntp(tmp_path / "nowhere" / "Small_net.tntp")
    write(tmp_path)
    with pytest.raises(DataError, match="did you mean 'Small'"):
        tntp("small", tmp_path)
    (tmp_path / "Small_trips.tntp").unlink()
    with pytest.raises(DataError, match="expected Small_trips.tntp in it: copy the file there"):
        tntp("Small", tmp_path)
    (tmp_path / "Small_trips.tntp").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="bytes that are no text"):
        tntp("Small", tmp_path)
