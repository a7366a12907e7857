"""The command group, and how errors are reported: one paragraph on stderr, never a traceback."""

from __future__ import annotations

import errno
from importlib.metadata import version
from typing import Any

import click
import redis

from pydag_dist.cli.display.output import echo
from pydag_dist.errors import PydagError
from pydag_dist.redis_url import RedisUrl
from pydag_dist.settings import load_settings, unknown_variables

MISUSE = 2  # also click's exit code for wrong options


class Commands(click.Group):
    """Lists its commands in the order in which they are needed, and reports our errors."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which they were added."""
        del ctx
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an expected error becomes its message and exit code 2."""
        for warning in unknown_variables():
            echo(f"Warning: {warning}", err=True)
        try:
            return super().invoke(ctx)
        except PydagError as error:
            self._fail(str(error))
        except redis.AuthenticationError as error:
            self._fail(
                f"Redis at {_address()} refused the login ({error}): check the user and the "
                "password in PYDAG_REDIS_URL; for the Redis of `pydag up`, type "
                '`eval "$(pydag env)"` in this terminal.'
            )
        except (redis.ConnectionError, redis.TimeoutError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                self._fail(
                    f"The certificate of Redis at {_address()} is not trusted ({error}): name its "
                    "authority by ?ssl_ca_certs=FILE at the end of PYDAG_REDIS_URL, and the host "
                    "as the certificate does."
                )
            self._fail(
                f"No Redis answers at {_address()} ({error}). Set PYDAG_REDIS_URL to the "
                "installation's Redis; for one on this machine run `pydag up`, and then "
                '`eval "$(pydag env)"` in this terminal.'
            )
        except redis.RedisError as error:
            self._fail(f"Redis at {_address()} refused: {error}")
        except UnicodeError:
            self._fail(
                "An argument, a setting or a value in Redis has bytes that are no text: write it "
                "in the encoding of this terminal (LANG)."
            )
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of a pipe has closed it: click ends quietly
                raise
            what = f"{error.filename}: " if error.filename else ""
            self._fail(f"{what}{error.strerror or error}")

    def _fail(self, message: str) -> None:
        echo(f"Error: {message}", err=True)
        raise SystemExit(MISUSE)


def _address() -> str:
    """The Redis URL without its password."""
    return RedisUrl.parse(load_settings().redis_url).shown


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("pydag-dist"), message="%(version)s")
def pydag() -> None:
    """Run DAGs of BigQuery, Dataproc and Cloud Storage tasks on many hosts.

    \b
    See it work on this machine, without any account:
        pydag demo
    \b
    An installation is one Redis, a coordinator and workers; every part finds the others by
    PYDAG_REDIS_URL:
        export PYDAG_REDIS_URL=redis://broker:6379/0
        pydag coordinator            # on one host (or two)
        pydag worker -c 8            # on each host that shall work
        pydag submit pipeline.json --wait
    \b
    Settings are PYDAG_* variables, or a TOML file named by PYDAG_CONFIG.
    """
