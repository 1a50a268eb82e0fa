"""Synthesis figures against limits and baseline; names of units. No tool runs."""

from pathlib import Path

from vta.hw.synthesis.baseline import check, read_baseline, write_baseline
from vta.hw.synthesis.report import Figures, Units

RTLIL = r"""
module \vta
module \vta.engine
module \vta.engine.compute
module \vta.engine.compute.execute
module \vta.engine.compute.execute.alu_pipeline.lane_3
module \vta.engine.load.loader.plans
"""


def figures(**changes: object) -> Figures:
    values: dict = {
        "flow": "xilinx7",
        "config": "1x16_64",
        "resources": {"LUT": 1000.0, "DSP": 304.0},
        "units": {"compute.issue": {"LUT": 200.0, "DSP": 0.0}, "wgt": {"LUT": 800.0}},
        "memories": {"wgt.bank_0_0": "block RAM"},
    }
    return Figures(**values | changes)


def test_growth_within_the_tolerance_passes() -> None:
    grown = figures(resources={"LUT": 1020.0, "DSP": 304.0})
    assert check(grown, figures()).failures == []


def test_what_grew_is_named() -> None:
    units = {"compute.issue": {"LUT": 300.0, "DSP": 0.0}, "wgt": {"LUT": 800.0}}
    failures = check(
        figures(resources={"LUT": 1100.0, "DSP": 304.0}, units=units), figures()
    ).failures
    assert len(failures) == 2
    assert "LUT: 1100, baseline 1000" in failures[0]
    assert failures[1].split() == ["compute.issue:", "300,", "baseline", "200"]


def test_limits_hold_whatever_the_baseline_says() -> None:
    large = figures(resources={"LUT": 20_000.0, "DSP": 304.0})
    assert any("must be less than 20000" in line for line in check(large, large).failures)
    slow = figures(flow="ecp5", config="1x8_64", fmax_mhz=99.0)
    assert any("99.0 MHz; it must be 100" in line for line in check(slow, slow).failures)


def test_faults_and_better_figures_are_told() -> None:
    assert check(figures(faults=["wgt became LUT RAM"]), None).failures
    assert check(figures(resources={"LUT": 900.0}), figures()).improvements


def test_the_baseline_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert read_baseline(path) == {}
    write_baseline([figures()], path)
    write_baseline([figures(flow="ecp5", config="1x8_64", fmax_mhz=101.5)], path)
    assert read_baseline(path)["xilinx7 1x16_64"] == figures()
    assert read_baseline(path)["ecp5 1x8_64"].fmax_mhz == 101.5


def test_the_committed_baseline_is_read() -> None:
    assert {"ecp5 1x8_64", "xilinx7 1x16_64"} <= read_baseline().keys()


def test_cells_belong_to_units() -> None:
    units = Units(RTLIL)
    for cell, unit in (
        ("engine.compute.execute.alu_pipeline.lane_3.x", "compute.execute.alu_pipeline.lane"),
        ("engine.load.loader.plans.level_LUT4_O", "load.loader"),
        ("engine.compute.execute.denied_LUT6_O", "compute.execute"),
        ("somewhere_LUT2_O", "ports"),
    ):
        assert units.unit_of(cell) == unit
    total, by_unit = units.count({"engine.compute.x": "LUT6", "y": "CARRY4"}, {"LUT6": ("LUT", 1)})
    assert (total, by_unit) == ({"LUT": 1}, {"compute": {"LUT": 1}})
