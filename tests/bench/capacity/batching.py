"""How many batches an outbox sends, and to how many gateways a batch goes. Pure.

An outbox (`libs/common/outbox.py`, and a router's inbox, which has the same rule) sends at once
when idle, is then busy until its batch was confirmed and the pacing has passed, and sends what
came meanwhile as the next batch. For Poisson arrivals that is a renewal process, so the rates
are exact; arrivals of chat are burstier, which makes batches larger and fewer.
"""

from math import exp, expm1, log1p


def batches_per_s(
    urgent_per_s: float, busy_s: float, *, patient_per_s: float = 0.0, patience_s: float = 0.0
) -> float:
    """Of one outbox. `urgent` items are sent at once when it is idle, `patient` ones wait.

    A cycle is the busy time and, where nothing came meanwhile, the wait for the next item and,
    if that is patient, for its patience to pass or an urgent one to come.
    """
    all_per_s = urgent_per_s + patient_per_s
    if all_per_s <= 0:
        return 0.0
    waits_s = -expm1(-urgent_per_s * patience_s) / urgent_per_s if urgent_per_s else patience_s
    idle_s = (1 + patient_per_s * waits_s) / all_per_s
    return 1 / (busy_s + exp(-all_per_s * busy_s) * idle_s)


def gateways_of_a_batch(destinations: float, gateways: int) -> float:
    """How many different gateways so many deliveries go to, on average."""
    if gateways == 1:
        return min(destinations, 1.0)
    return gateways * -expm1(destinations * log1p(-1 / gateways))
