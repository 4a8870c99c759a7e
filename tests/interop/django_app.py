"""Django's admin and a form of its own, in one file: `python django_app.py FOLDER` prints its port and serves."""

from __future__ import annotations

import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

FOLDER = Path(sys.argv[1])
PASSWORD = "correct horse"

settings.configure(
    SECRET_KEY="a-secret-of-the-test-that-is-long-enough-for-django",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="__main__",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": FOLDER / "django.sqlite3",
            "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE"},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
)
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.urls import path  # noqa: E402


class Thing(models.Model):  # type: ignore[misc]
    """Something to add, change and delete."""

    name = models.CharField(max_length=100)
    price = models.IntegerField(default=0)

    class Meta:
        app_label = "auth"

    def __str__(self) -> str:
        return str(self.name)


admin.site.register(Thing)


def hello(request: HttpRequest) -> HttpResponse:
    """A form with Django's hidden field."""
    if request.method == "POST":
        return HttpResponse(f"hello {request.POST.get('name', '')}")
    token = get_token(request)
    return HttpResponse(f'<form><input type="hidden" name="csrfmiddlewaretoken" value="{token}"></form>')


urlpatterns = [path("admin/", admin.site.urls), path("hello/", hello)]


class Quiet(WSGIRequestHandler):  # type: ignore[misc]
    """Tells refusals alone."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        if len(args) > 1 and str(args[1]).startswith(("4", "5")):
            print(*args, flush=True)


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Thing)
    User.objects.create_superuser("kim", password=PASSWORD)
    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet, connections_override={})
    server.set_app(get_wsgi_application())
    print(server.server_address[1], flush=True)
    server.serve_forever()
