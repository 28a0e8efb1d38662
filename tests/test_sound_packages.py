"""Packages of sounds: what is taken from each, and what is said when one cannot be had. Nothing leaves the machine."""

import struct
import subprocess
import tarfile
import zlib

import pandas as pd
import pytest

from avsep_lib import sound_packages, tunes
from avsep_lib.settings import MUSIC_21, StudyError


def resource_file(contents, version=1):
    """A Qt resource file with all files in one folder, `a`; every second one is compressed."""
    names, nodes, data = b"", [], b""

    def named(name):
        nonlocal names
        place = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
        return place

    nodes.append(struct.pack(">IHII", 0, 2, 1, 1))  # the root has one child
    nodes.append(struct.pack(">IHII", named("a"), 2, len(contents), 2))
    for number, (name, content) in enumerate(contents.items()):
        flags = number % 2
        stored = struct.pack(">I", len(content)) + zlib.compress(content) if flags else content
        nodes.append(struct.pack(">IHHHI", named(name), flags, 0, 0, len(data)))
        data += struct.pack(">I", len(stored)) + stored
    head = 20
    tree = b"".join(nodes)
    return (
        b"qres"
        + struct.pack(">4I", version, head, head + len(tree), head + len(tree) + len(data))
        + tree
        + data
        + names
    )


def test_resources_are_read_whether_compressed_or_not():
    contents = {"one.ogg": b"as it is", "two.ogg": b"compressed" * 40, "three.txt": b""}
    assert sound_packages.resources(resource_file(contents)) == {f"a/{name}": one for name, one in contents.items()}


def test_what_is_no_resource_file_is_refused():
    with pytest.raises(StudyError, match="no Qt resource file"):
        sound_packages.resources(b"RIFF....WAVE")


class Registries:
    """Stand-ins for the clients: each writes what its registry would have sent, or fails."""

    def __init__(self, without=()):
        self.without, self.asked = set(without), []

    def __call__(self, command, cwd, **options):
        self.asked.append(command)
        if command[0] in self.without:
            raise FileNotFoundError(command[0])
        if command[0] == "npm":
            (cwd / "C4.mp3").write_bytes(b"a note")
            with tarfile.open(cwd / "package.tgz", "w:gz") as archive:
                archive.add(cwd / "C4.mp3", "package/C4.mp3")
        elif command[0] == "apt-get":
            if command[2] == "csound-soundfont":
                raise subprocess.CalledProcessError(100, command, stderr="reading...\nE: no such package\n")
            (cwd / "x.deb").write_bytes(command[2].encode())
        elif command[0] == "dpkg-deb":
            (cwd / "x").mkdir()
            if (cwd / "x.deb").read_bytes() == b"gcompris-qt-data":
                recordings = {f"{name}.ogg": name.encode() for name in sound_packages.PHRASES.values()}
                (cwd / "x" / "instruments.rcc").write_bytes(resource_file(recordings))
            else:
                (cwd / "x" / "small.sf2").write_bytes(b"s")
                (cwd / "x" / "font.sf2").write_bytes((cwd / "x.deb").read_bytes())


@pytest.fixture(autouse=True)
def collected(monkeypatch):
    """Stands in for the reading of the tunes, which takes a minute."""
    monkeypatch.setattr(tunes, "collect", lambda path: path.write_bytes(b"tunes"))


def test_every_package_finds_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", Registries())
    table = sound_packages.fetch(tmp_path).set_index("name")
    assert (tmp_path / "fonts" / "FluidR3.sf2").read_bytes() == b"fluid-soundfont-gm"  # the larger of the two files
    assert (tmp_path / "fonts" / "TimGM6mb.sf2").stat().st_size > 1e6
    assert (tmp_path / "notes" / "cello" / "C4.mp3").read_bytes() == b"a note"
    assert (tmp_path / "tunes.npz").read_bytes() == b"tunes"
    assert (tmp_path / "phrases" / "acoustic_guitar.ogg").read_bytes() == b"guitar"
    assert table.state["csound-soundfont"].startswith("missing: apt-get download csound-soundfont failed: E: no such")
    assert (table.state.drop("csound-soundfont") == "there").all()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "licences.csv").set_index("name"), table)


def test_what_is_there_is_not_fetched_again(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", Registries())
    sound_packages.fetch(tmp_path)
    again = Registries()
    monkeypatch.setattr(subprocess, "run", again)
    sound_packages.fetch(tmp_path)
    assert again.asked == [["apt-get", "download", "csound-soundfont"]]


def test_without_a_client_its_packages_are_missing_and_the_others_there(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", Registries(without=["npm"]))
    table = sound_packages.fetch(tmp_path)
    assert (table.state[table.registry == "npm"] == "missing: npm is not installed here").all()
    assert table.state[table.name == "fluid-soundfont-gm"].item() == "there"
    assert not (tmp_path / "notes").exists()


def test_every_package_has_a_licence_and_what_validates_only_may_be_gpl():
    assert all(package.licence for package in sound_packages.PACKAGES)
    under_gpl = {package.target for package in sound_packages.PACKAGES if "GPL" in package.licence}
    assert under_gpl == {"TimGM6mb", "GCompris"}
    targets = {package.target for package in sound_packages.PACKAGES if package.kind == "notes"}
    assert targets | set(sound_packages.PHRASES) <= set(MUSIC_21)
