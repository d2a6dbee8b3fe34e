"""Which task's head a checkpoint has, so that the output is the model's own."""

from __future__ import annotations

import re
from collections.abc import Collection

from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import Family

LANGUAGE = "language"  # a guess for the next token
MASKED = "masked"  # a guess for every token
PRETRAINING = "pretraining"  # what a family was trained on at first
SEQUENCE = "sequence"  # a label for the whole
TAGS = "tags"  # a label for every token
SPAN = "span"  # where an answer begins and ends
DISTILLED = "distilled"  # the mean of two labels for the whole

# how the names of classes of transformers end
_CLASSES = {
    "LMHeadModel": LANGUAGE,
    "ForCausalLM": LANGUAGE,
    "ForConditionalGeneration": LANGUAGE,
    "MTModel": LANGUAGE,
    "ForMaskedLM": MASKED,
    "ForPreTraining": PRETRAINING,
    "ForSequenceClassification": SEQUENCE,
    "ForImageClassification": SEQUENCE,
    "ForImageClassificationWithTeacher": DISTILLED,
    "ForTokenClassification": TAGS,
    "ForQuestionAnswering": SPAN,
}


def head_of(config: Config, family: Family, tensors: Collection[str]) -> str:
    """The head that `architectures` names, the family knows and the tensors fill.

    Names of tensors are without a prefix. "" stands for none: the output is the last
    hidden state.
    """
    for architecture in config.names("architectures"):
        for ending, head in _CLASSES.items():
            if architecture.endswith(ending) and head in family.heads:
                pattern = family.heads[head]
                if not pattern or any(re.match(pattern, name) for name in tensors):
                    return head
    return ""
