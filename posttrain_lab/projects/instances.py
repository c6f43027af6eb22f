"""Which instances is an entry scored on? Seeds that nobody can know before the deadline, and that anybody can repeat after it.

    seed = HMAC-SHA256(secret, "project/number"), the first four bytes

Before the deadline everybody scores with the public secret. The hidden instances come from the instructor's secret; once the class is
graded the secret is published, and each learner repeats their own grade with it.
"""

import hashlib
import hmac

PUBLIC = "posttrain-lab"  # the secret that everybody knows


def instance_seed(secret: str, project: str, number: int) -> int:
    """The seed of one instance, below 2^32. Raises ValueError for an empty secret or a negative number.

    >>> instance_seed(PUBLIC, "12_project_edge", 0)
    3452460690
    """
    if not secret or number < 0:
        raise ValueError(f"instance_seed wants a secret and a number of at least 0, got {len(secret)} characters and {number}.")
    return int.from_bytes(hmac.new(secret.encode(), f"{project}/{number}".encode(), hashlib.sha256).digest()[:4], "big")
