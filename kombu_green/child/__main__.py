"""``python -m kombu_green.child``: a worker process, patched before anything else is imported."""

try:
    from kombu_green.green.monkey import patch
except ImportError as error:  # gevent is missing or broken; starting again does not help
    from kombu_green.child.without_gevent import refuse

    refuse(error)

patch()

import sys  # noqa: E402  nothing may come before the patches

from kombu_green.child.main import main  # noqa: E402
from kombu_green.worker.app import Worker  # noqa: E402

sys.exit(main(sys.argv[1:], Worker.from_settings))
