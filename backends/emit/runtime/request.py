"""Runtime of all backends: what may be asked of a network that writes."""


def check_request(ids, count, beams, temperature, top_k):
    """Refuse to continue ids [batch, time] in a way that means nothing.

    Raises ValueError.
    """
    if ids.shape[1] == 0:
        raise ValueError("there is nothing to continue: give at least one id")
    if count < 0:
        raise ValueError(f"max_new_tokens is 0 or more, not {count}")
    if beams < 1:
        raise ValueError(f"beams is 1 or more, not {beams}")
    if not 0 <= temperature < float("inf"):  # nor what is not a number
        raise ValueError(f"temperature is 0 or more, not {temperature}")
    if beams > 1 and temperature > 0:
        raise ValueError("beams keep the likeliest, a temperature samples: give one")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is 1 or more, not {top_k}")
    if top_k is not None and temperature == 0:
        raise ValueError("top_k applies to sampling: give a temperature too")
