"""No message with a hint is left without a test that follows it."""

from neural_attn.diagnostics.explanations import explanations
from tests import (
    test_hints,
    test_hints_of_arrays,
    test_hints_of_calls,
    test_hints_of_capture,
    test_hints_of_commands,
    test_hints_of_keras,
    test_hints_of_models,
    test_hints_of_packages,
    test_hints_of_training,
    test_hints_of_writing,
)

TABLES = (
    test_hints,
    test_hints_of_arrays,
    test_hints_of_calls,
    test_hints_of_capture,
    test_hints_of_commands,
    test_hints_of_keras,
    test_hints_of_models,
    test_hints_of_packages,
    test_hints_of_training,
    test_hints_of_writing,
)
ALONE = {"E0418.busy", "E0706", "E0440", "E0440.output"}  # by a test of their own
# message -> why nothing can be followed here
OUT_OF_REACH = {
    "E0124": "there is nothing to do but to report it: it would be a fault of ours",
    "E0502.spacy": "the pipelines of spaCy are no packages of an index",
    "E0502.tagger": "likewise",
}


def with_hints():
    """Every message that has a hint, and no example in its page to follow."""
    return {
        f"{code}.{key}" if key else code
        for code, page in explanations().items()
        for key, said in page.messages.items()
        if said.hint and not (page.wrong and page.right)
    }


def test_every_hint_is_followed_or_out_of_reach():
    followed = ALONE.union(*(table.FOLLOWED for table in TABLES))
    assert with_hints() - followed == set(OUT_OF_REACH)
    assert followed & set(OUT_OF_REACH) == set()
