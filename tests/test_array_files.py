"""Array files of strangers: what is claimed is weighed before it is unpacked."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_attn.array_files import ArrayFileError
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.arrays import read_data

ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array(3.5),
    np.zeros((0, 4), np.float32),
    np.array(["a", "bc"]),
    np.arange(4, dtype=">i4"),
]


def plain(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def archive(method=zipfile.ZIP_DEFLATED, **members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as packed:
        for name, data in members.items():
            packed.writestr(f"{name}.npy", data)
    return stream.getvalue()


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
def test_arrays_are_read_as_numpy_reads_them(tmp_path, array):
    np.save(tmp_path / "one.npy", array)
    np.savez_compressed(tmp_path / "two.npz", a=array, b=array)
    found = [read_data(tmp_path / "one.npy"), *read_data(tmp_path / "two.npz").values()]
    for one in found:
        np.testing.assert_array_equal(one, array)
        assert one.dtype == array.dtype


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("neural_attn.weighing.MOST_MEGABYTES", 100)
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open("ids.npy", "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_1_0(
            member, {"descr": "|u1", "fortran_order": False, "shape": (300 * 2**20,)}
        )
        for _ in range(300):
            member.write(bytes(2**20))
    tracemalloc.start()
    with pytest.raises(NeuralError) as caught:
        read_data(path)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    said = caught.value.diagnostics[0].message
    assert "claims 314," in said
    assert "at most 100 MB are unpacked (NEURAL_MAX_MB=301 allows it)" in said
    monkeypatch.setenv("NEURAL_MAX_MB", "301")
    assert read_data(path)["ids"].shape == (300 * 2**20,)


def encrypted():
    data = bytearray(archive(zipfile.ZIP_STORED, a=plain(np.ones(3))))
    data[6] |= 1  # the flag in the local header
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1  # and in the directory
    return bytes(data)


def unknown_method():
    data = bytearray(archive(zipfile.ZIP_STORED, a=plain(np.ones(3))))
    data[8] = 77
    central = data.index(b"PK\x01\x02")
    data[central + 10] = 77
    return bytes(data)


def index_before_the_file():
    data = bytearray(archive(a=plain(np.ones(3)), b=plain(np.ones(3))))
    data[data.rindex(b"PK\x05\x06") + 17] = 1  # the index is told to begin later
    return bytes(data)


BROKEN = {
    "encrypted": encrypted,
    "unknown compression": unknown_method,
    "an index that leads before the file": index_before_the_file,
    "a member that is no array": lambda: archive(a=b"text"),
    "structured": lambda: plain(np.zeros(2, "i4,f4"))[:-3],
    "longer than it says": lambda: plain(np.ones(3)) + b"rest",
    "version 9": lambda: b"\x93NUMPY\x09\x00" + bytes(99),
}


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_one_error_with_its_name(tmp_path, make):
    path = tmp_path / "data.npz"
    path.write_bytes(make())
    with pytest.raises(NeuralError) as caught:
        read_data(path)
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0404"
    assert "data.npz is not a NumPy array file" in problem.message
    assert "\n" not in problem.message


SEEDS = [plain(ARRAYS[0]), archive(a=plain(ARRAYS[0]), b=plain(ARRAYS[1]))]


@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4
    ),
    cut=st.integers(0, 40),
)
def test_mutated_files_give_arrays_or_our_error(tmp_path_factory, seed, changes, cut):
    data = bytearray(seed)
    for place, value in changes:
        data[place % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "mutated.npz"
    path.write_bytes(data[: len(data) - cut])
    try:
        found, code = read_data(path), "E0404"
    except NeuralError as error:
        found, code = {}, error.diagnostics[0].code
    assert code == "E0404"
    assert isinstance(found, np.ndarray | dict)


def test_map_files_raise_the_same_kind():
    from neural_attn.maps.map_file import MapFileError

    assert issubclass(MapFileError, ArrayFileError)
