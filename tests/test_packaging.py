"""What an installation holds, and that it works from every folder."""

import configparser
import os
import re
import runpy
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution, version
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

import neural_attn

ROOT = Path(__file__).resolve().parent.parent
# folder of the checkout -> the package it installs as
FOLDERS = {
    "neural_attn": "neural_attn",
    "grammar": "neural_attn.grammar",
    "backends": "neural_attn.backends",
}


@pytest.fixture(scope="module")
def config():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def package_files():
    """Every file under the package folders, as it is named when installed."""
    for folder, package in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            inside = path.relative_to(ROOT / folder)
            if path.is_file() and "__pycache__" not in inside.parts:
                yield path, Path(*package.split("."), inside)


def test_packages_are_the_folders_with_python_files(config):
    folders = {
        ".".join(installed.parent.parts)
        for path, installed in package_files()
        if path.suffix == ".py"
    }
    listed = lines(config["options"]["packages"])
    assert sorted(listed) == sorted(folders)


def test_only_prescribed_folders_hold_packages(config):
    mapping = dict(
        line.split(" = ") for line in lines(config["options"]["package_dir"])
    )
    expected = {package: folder for folder, package in FOLDERS.items()}
    del expected["neural_attn"]
    assert mapping == expected


def build_wheel(source, out):
    """Build without pip, without network, and without touching the checkout."""
    command = (
        "import sys; from setuptools import build_meta;"
        "print(build_meta.build_wheel(sys.argv[1]))"
    )
    subprocess.run(
        [sys.executable, "-c", command, str(out)],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=120,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"},
    )
    (wheel,) = out.glob("*.whl")
    return wheel


def copy_checkout(source):
    """What a wheel is made of, in another folder."""
    names = ["setup.cfg", "pyproject.toml", "LICENSE", "README.md"]
    copies = {ROOT / name: source / name for name in names}
    copies.update(
        (path, source / path.relative_to(ROOT)) for path, _ in package_files()
    )
    for path, copy in copies.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return source


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the checkout."""
    source = copy_checkout(tmp_path_factory.mktemp("source"))
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.mark.thorough
def test_two_builds_are_the_same_bytes(wheel, tmp_path):
    copy_checkout(tmp_path / "source")
    (tmp_path / "wheel").mkdir()
    again = build_wheel(tmp_path / "source", tmp_path / "wheel")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def script(name):
    sys.path.insert(0, str(ROOT / ".ci"))
    try:
        return runpy.run_path(str(ROOT / ".ci" / name))
    finally:
        sys.path.remove(str(ROOT / ".ci"))


def test_the_list_of_parts_is_what_is_installed():
    made = script("sbom.py")["bom"]()
    versions = {one["name"]: one["version"] for one in made["components"]}
    assert versions["numpy"] == version("numpy")
    assert set(versions) > {"click", "lark", "matplotlib", "safetensors", "contourpy"}
    known = {one["bom-ref"] for one in made["components"]}
    known.add(made["metadata"]["component"]["bom-ref"])
    edges = {edge["ref"]: edge["dependsOn"] for edge in made["dependencies"]}
    assert set(edges) == known
    assert set().union(*edges.values()) <= known


def test_known_vulnerabilities_are_found_and_none_is_installed():
    audit = script("audit.py")
    text = audit["LIST"].read_text("utf-8")
    assert re.match(r"# The list of 20\d\d-\d\d-\d\d: ", text)
    assert audit["by_list"](text, {"torch": "2.5.1", "pillow": "10.3.0"}) == [
        "torch 2.5.1: CVE-2025-32434 (torch<2.6.0)"
    ]
    assert audit["by_list"](text, pins(default_environment())) == []


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A folder that holds the installed wheel and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_wheel_holds_every_file_of_the_packages(wheel):
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert shipped == {installed.as_posix() for _, installed in package_files()}


def test_wheel_metadata(site):
    (info,) = site.glob("*.dist-info")
    distribution = PathDistribution(info)
    assert distribution.version == neural_attn.__version__
    assert distribution.metadata["Requires-Python"] == ">=3.10"
    assert distribution.metadata["License"] == "MIT"
    assert (info / "licenses" / "LICENSE").is_file()


def run_python(statements, cwd, site):
    process = subprocess.run(
        [sys.executable, "-c", statements],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


WHERE = (
    "import neural_attn.grammar, neural_attn.backends;"
    "print(neural_attn.grammar.__file__); print(neural_attn.backends.__file__)"
)


def test_wheel_works_from_another_folder(site, tmp_path):
    found = run_python(WHERE, tmp_path, site).splitlines()
    package = site / "neural_attn"
    assert found == [
        str(package / "grammar" / "__init__.py"),
        str(package / "backends" / "__init__.py"),
    ]


def test_wheel_installed_and_run_from_the_checkout(site):
    # The checkout's neural_attn comes first on the path there, and in it there is
    # neither grammar nor backends.
    found = run_python(WHERE, ROOT, site).splitlines()
    assert found == [
        str(ROOT / "grammar" / "__init__.py"),
        str(ROOT / "backends" / "__init__.py"),
    ]


@pytest.mark.parametrize("name", ["grammar", "backends"])
def test_no_top_level_module_of_a_generic_name(name, site, tmp_path):
    statements = f"import importlib.util as u; print(u.find_spec({name!r}))"
    assert run_python(statements, tmp_path, site) == "None"


def test_entry_points_load(site, tmp_path):
    statements = (
        "from importlib.metadata import distribution\n"
        "for entry in distribution('neural-attn').entry_points:\n"
        "    entry.load(); print(entry.group, entry.name)"
    )
    assert run_python(statements, tmp_path, site).splitlines() == [
        "console_scripts neural",
        "neural_attn.backends numpy",
        "neural_attn.backends pytorch",
        "neural_attn.backends tensorflow",
        "neural_attn.views notebook",
        "pygments.lexers neural",
    ]


def requirements(config):
    """Every requirement that holds on this machine, those of the extras too."""
    texts = lines(config["options"]["install_requires"])
    for section in config["options.extras_require"].values():
        texts += lines(section)
    for text in texts:
        requirement = Requirement(text)
        if requirement.name == "neural-attn":  # `full` names the other extras
            continue
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement


def pins(environment):
    """Name -> version of the pins that hold in an environment."""
    found = {}
    for line in lines((ROOT / "constraints.txt").read_text(encoding="utf-8")):
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(environment):
            assert pin.name not in found, f"{pin.name} is pinned twice"
            found[re.sub(r"[-_.]+", "-", pin.name).lower()] = str(pin.specifier)[2:]
    return found


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_requirement_is_pinned_within_its_bounds(python, config):
    environment = default_environment() | {"python_version": python}
    pinned = pins(environment)
    for requirement in requirements(config):
        if requirement.name == "tensorflow":
            continue  # pinned on the machine that tests it, where it is tensorflow-cpu
        assert requirement.specifier.contains(pinned[requirement.name]), requirement


def test_torch_is_pinned_without_a_local_version():
    # `+cpu` exists on one index only; without it either build satisfies the pin.
    assert pins(default_environment())["torch"] == "2.13.0"


def test_changelog_tells_of_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"\b{re.escape(neural_attn.__version__)}\b", text)
