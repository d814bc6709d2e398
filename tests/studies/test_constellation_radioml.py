"""The file of RadioML 2018.01A: rows, both layouts, and every way in which a file may not be one."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from studies.radioml_file import LEVELS, write
from tocsin.studies.constellation.data.radioml import CLASSES, RadioML
from tocsin.studies.study import StudyError

SHIPPED = (  # the order of the list beside the file, which is not that of its columns
    *("32PSK", "16APSK", "32QAM", "FM", "GMSK", "32APSK", "OQPSK", "8ASK", "BPSK", "8PSK", "AM-SSB-SC", "4ASK"),
    *("16PSK", "64APSK", "128QAM", "128APSK", "AM-DSB-SC", "AM-SSB-WC", "64QAM", "QPSK", "256QAM", "AM-DSB-WC"),
    *("OOK", "16QAM"),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("radioml") / "plain.hdf5")


@pytest.mark.parametrize("chunked", [False, True])
def test_rows_are_the_frames_of_their_cell(tmp_path, chunked):
    file = write(tmp_path / "file.hdf5", chunked=chunked)
    data = RadioML(file)
    assert (data.snr_db, data.per_cell) == (LEVELS, 6)
    assert (data._mapped is None) == chunked
    rows = [*reversed(data.rows("64QAM", 10)), 0, 0]  # any order, a row twice
    with h5py.File(file) as held:
        y, z, x = held["Y"][:], held["Z"][:], held["X"][:]
    assert all(CLASSES[y[r].argmax()] == "64QAM" and z[r, 0] == 10 for r in data.rows("64QAM", 10))
    np.testing.assert_array_equal(data.iq(rows).numpy(), x[rows].transpose(0, 2, 1))
    assert data.iq(rows).dtype == torch.float32


def test_the_order_of_the_shipped_list_is_refused(tmp_path):
    assert sorted(SHIPPED) == sorted(CLASSES)
    with pytest.raises(StudyError, match=r"labels do not fit the samples: .* of OOK at 30 dB is 0\.\d\d"):
        RadioML(write(tmp_path / "file.hdf5", order=SHIPPED))


@pytest.mark.parametrize("swapped", [("BPSK", "QPSK"), ("8ASK", "256QAM"), ("OOK", "OQPSK")])
def test_two_columns_that_changed_places_are_found(tmp_path, swapped):
    a, b = swapped
    order = [b if name == a else a if name == b else name for name in CLASSES]
    with pytest.raises(StudyError, match="labels do not fit the samples"):
        RadioML(write(tmp_path / "file.hdf5", order=order))


N = len(CLASSES) * len(LEVELS) * 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": None}, "expected a data set X, found Y, Z"),
        ({"X": np.zeros((N, 512, 2), np.float32)}, "expected X as numbers"),
        ({"Y": np.zeros((N, 11))}, "expected Y as numbers"),
        ({"Z": np.zeros((N, 1), "S4")}, "expected Z as numbers"),
        ({"Z": np.arange(N)[:, None] % 5}, "no multiple of 24 classes x 5 SNR levels"),
        ({"Z": np.arange(N)[:, None] % 3}, "the labels are in another order"),
        ({"Z": np.full((N, 1), 0.5)}, "no multiple"),
        ({"Y": np.eye(24, dtype=int)[np.arange(N) % 24]}, "the labels are in another order"),
        ({"X": np.zeros((0, 1024, 2)), "Y": np.zeros((0, 24)), "Z": np.zeros((0, 1))}, "no frames"),
    ],
)  # fmt: skip
def test_another_layout_is_refused_with_what_was_expected(tmp_path, change, message):
    with pytest.raises(StudyError, match=message):
        RadioML(write(tmp_path / "file.hdf5", **change))


def test_low_levels_alone_cannot_be_verified(tmp_path):
    with pytest.raises(StudyError, match="cannot be verified below 10 dB"):
        RadioML(write(tmp_path / "file.hdf5", levels=(-20, 0)))


def test_what_is_no_file_of_this_kind(tmp_path):
    with pytest.raises(StudyError, match="no such file; expected the HDF5 file"):
        RadioML(tmp_path / "absent.hdf5")
    (tmp_path / "text.hdf5").write_text("not HDF5")
    with pytest.raises(StudyError, match="cannot be read as HDF5"):
        RadioML(tmp_path / "text.hdf5")


def test_numbers_of_another_file_are_not_followed(tmp_path, path):
    with h5py.File(tmp_path / "link.hdf5", "w") as file:
        for name in "XYZ":
            file[name] = h5py.ExternalLink(str(path), name)
    with pytest.raises(StudyError, match="expected a data set X"):
        RadioML(tmp_path / "link.hdf5")


def test_an_unknown_cell_is_named(path):
    with pytest.raises(StudyError, match="has no 64QAM at 12 dB"):
        RadioML(path).rows("64QAM", 12)
