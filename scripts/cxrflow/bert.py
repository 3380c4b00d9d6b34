"""BERTs by path: the vectors of report texts where a configuration names one."""

from typing import Any

from cxrflow.errors import UserError


def load_bert(name: str, key: str, published: str) -> tuple[Any, Any]:
    """Return tokenizer and BERT of a folder or hub name on this machine, in float32 and without dropout.

    `key` is where the configuration names it, `published` what a paper took, as told in errors.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=True)
        model = AutoModel.from_pretrained(name, local_files_only=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{key} is {name!r}, and no such BERT (weights and tokenizer) is on this machine.",
            f"Give the folder of the model, a hub name that is in the cache ({published}), or 'hashed', which needs no "
            "model.",
        ) from error
    return tokenizer, model.eval()
