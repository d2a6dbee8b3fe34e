"""The site has every page, and what is made of code is made of today's.

`.ci/run` builds it, where a broken link is an error.
"""

import re
import runpy

from docs.make_cli import PAGE, page
from tests.test_readme import ROOT

SITE = runpy.run_path(str(ROOT / "docs" / "make_site.py"))


def test_every_page_has_its_place():
    told = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    named = re.findall(r": (\S+\.md)$", told, re.M)
    assert len(named) == len(set(named))
    assert set(named) == {str(page.relative_to(ROOT)) for page in SITE["pages"]()}


def test_no_program_is_published_that_no_page_leads_to():
    found = set().union(*map(SITE["led_to"], SITE["pages"]()))
    programs = {path.name for path in found if path.suffix == ".py"}
    assert programs == {"visualize_attention_demo.py", "held_out_texts.py"}


def test_pictures_are_made_by_the_commands_on_their_pages():
    script = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))
    made = script["MADE"] | script["TRAINED"]
    for page_of_it, command, _, _ in made.values():
        text = (ROOT / page_of_it).read_text("utf-8").replace("\\\n", " ")
        assert f"neural {command}" in re.sub(" +", " ", text)
    kept = [*(ROOT / "docs" / "images").glob("*.png"), *ROOT.glob("examples/*/*.png")]
    twins = map(script["in_the_dark"], script["MADE"])
    known = {*made, *twins, *script["DRAWN"]}
    assert {str(path.relative_to(ROOT)) for path in kept} == known


def test_a_picture_and_its_dark_twin_stand_together():
    for page_of_it in SITE["pages"]():
        text = page_of_it.read_text("utf-8")
        for part in re.findall(r"<picture>(.*?)</picture>", text, re.S):
            (dark,) = re.findall(r'dark\)" srcset="([^"]+)-dark\.\w+"', part)
            (light,) = re.findall(r'<img src="([^"]+)\.\w+"', part)
            assert light.removesuffix("-light") == dark
            assert re.search(r'alt="[^"]{15,}"', part)


def test_the_reference_of_commands_is_up_to_date():
    assert PAGE.read_text("utf-8") == page(), "run python docs/make_cli.py"


def test_the_reference_of_python_names_all_that_is_public():
    from neural_attn import _PUBLIC

    text = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
    named = set(re.findall(r"^::: (\S+)$", text, re.M))
    assert named == {f"{module}.{name}" for name, module in _PUBLIC.items()}
