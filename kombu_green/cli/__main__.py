"""``python -m kombu_green.cli``: ``kombu-worker`` from a checkout."""

from __future__ import annotations

import sys

from kombu_green.cli import main

sys.exit(main())
