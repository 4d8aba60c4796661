"""The application for a WSGI server; see :mod:`mien.web.gunicorn_conf`."""

from mien.web.app import create_app

app = create_app()
