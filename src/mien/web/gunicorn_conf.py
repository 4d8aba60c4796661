"""For ``gunicorn -c python:mien.web.gunicorn_conf mien.web.wsgi:app``: settings by environment."""

import sys

from mien.errors import SettingError
from mien.web.config import WebConfig
from mien.web.server import gunicorn_options

try:
    globals().update(gunicorn_options(WebConfig.from_environment()))
except SettingError as error:
    sys.exit(f"mien: {error}")
