"""``python -m mien.web.worker``: works on video jobs, apart from the web process."""

import os
import sys

from mien.errors import MienError
from mien.pipeline import FacePipeline
from mien.web.config import WebConfig
from mien.web.jobs import JobRunner
from mien.web.metrics import configure_logging
from mien.web.store.database import Database, database_url
from mien.web.video_work import VideoWork


def main() -> None:
    """Work until interrupted."""
    configure_logging()
    try:
        config = WebConfig.from_environment()
        if not config.redis_url:
            sys.exit("mien: expected REDIS_URL; without it the web process does the jobs itself")
        database = Database(database_url(config))
        runner = JobRunner(database, config, VideoWork(FacePipeline(), config))
    except MienError as error:
        sys.exit(f"mien: {error}")
    runner.start_sweeping()
    runner.huey.create_consumer(workers=1, periodic=False, max_delay=1.0).run()
    runner.stop()
    # Python's own end would break threads off in the midst of a model.
    os._exit(0)


if __name__ == "__main__":
    main()
