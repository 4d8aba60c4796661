"""The application for a WSGI server; see :mod:`mien.web.gunicorn_conf`."""

from mien.web.server import made_app

app = made_app()
