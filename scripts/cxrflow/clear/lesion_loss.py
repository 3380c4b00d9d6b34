"""The contrastive loss of LeCL: key slices of the batch weigh more among the negatives.

The released code multiplies the similarity of a key slice by the weight, inside the exponent; the paper's text
multiplies the exponential. They agree for a weight of 1, the default, and for none. This follows the code.
"""

import torch
from torch import Tensor


def lesion_loss(
    queries: Tensor,
    keys: Tensor,
    own: Tensor,
    lesions: Tensor,
    temperature: float,
    weight: float,
    valid: Tensor | None = None,
) -> Tensor:
    """Return the loss of unit vectors (n, D) whose positives are the rows `own` (n,) of `keys` (N, D), in float32.

        2 T mean_i [ log( sum_j exp(s_ij) + sum_{lesions j, not own} exp(w s_ij) ) - s_i,own ]     s_ij = <q_i, k_j> / T

    `lesions` (N,) bool are key slices. A weight of 0 stands for the loss without the second sum, as in the released
    code. Keys that are not `valid` (N,) bool do not exist.
    """
    scaled = queries.float() @ keys.float().T / temperature
    is_own = own[:, None] == torch.arange(len(keys), device=keys.device)
    positive = scaled.masked_fill(~is_own, 0).sum(dim=1)
    absent = torch.zeros_like(lesions) if valid is None else ~valid
    terms = scaled.masked_fill(absent, -torch.inf)
    if weight > 0:
        again = (weight * scaled).masked_fill(absent | ~lesions | is_own, -torch.inf)
        terms = torch.cat([terms, again], dim=1)
    return 2 * temperature * (torch.logsumexp(terms, dim=1) - positive).mean()
