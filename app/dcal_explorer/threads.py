"""How torch's idle threads wait."""

from __future__ import annotations

import os


def sleep_when_idle() -> None:
    """Torch's idle threads will sleep instead of spinning, unless OMP_WAIT_POLICY says otherwise. Call before torch
    is imported: it reads the variable then, once.

    On a busy machine spinning threads take the processor from the ones with work (a image on two cores under load:
    3.7 s, and 0.09 s so; on an idle one it makes no difference). The programs call this. Importing dcal does not, since
    the choice would hold for everything else in the user's process.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
