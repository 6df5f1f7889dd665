"""``python -m kombu_green.dead_letters``: ``kombu-worker dead``, patched before anything else is imported."""

from kombu_green.green.monkey import patch

patch()

import sys  # noqa: E402  nothing may come before the patches

from kombu_green.dead_letters.command import dead  # noqa: E402

sys.exit(dead(sys.argv[1:]))
