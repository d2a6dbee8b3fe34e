"""Python processes that start with the frameworks imported, in place of seconds later.

`run` is `subprocess.run` for Python. A server, one for each test session, imports the
packages that take long and forks for each call. It imports nothing of this project, so
what a command does from its first line on is what it does for a user. It has computed
nothing and started no thread, which is what makes forking safe. Elsewhere than on Linux
each call is an ordinary process.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from warnings import simplefilter

PACKAGES = [
    "tensorflow", "keras", "torch", "matplotlib.figure",
    "matplotlib.backends.backend_agg", "plotly.graph_objects", "plotly.io",
    "fontTools.ttLib", "lark", "rich.console", "safetensors.numpy",
]  # fmt: skip


def run(*arguments, cwd=None, warnings="default", **environment):
    """Run `python arguments`: `-m module …`, `-c code …` or a script.

    warnings is what `python -W` takes; what is named besides is set in the environment.
    """
    arguments = [str(argument) for argument in arguments]
    environment = os.environ | environment
    if sys.platform != "linux":
        return subprocess.run(
            [sys.executable, "-W", warnings, *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
        )
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        request = {
            "arguments": arguments,
            "cwd": str(cwd or Path.cwd()),
            "warnings": warnings,
            "environment": dict(environment),
            "out": str(out),
            "err": str(err),
        }
        server = _server()
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(
            arguments, code, out.read_text("utf-8"), err.read_text("utf-8")
        )


@functools.cache
def _server():
    """The process that forks; it ends with this one."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    server = subprocess.Popen(
        [sys.executable, __file__],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.communicate)  # the end of its input is its end
    return server


def _serve():
    """Fork for each request; in the child, give the request."""
    for name in PACKAGES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            return json.loads(line)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201
    return None


def _become(arguments, cwd, warnings, environment, out, err):
    """Run as a Python that was started with these arguments."""
    for number, path in enumerate([os.devnull, out, err]):
        flags = os.O_RDWR if path == os.devnull else os.O_WRONLY | os.O_CREAT
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    if warnings != "default":
        simplefilter(warnings)
    found = environment.get("PYTHONPATH", "")
    sys.path[:1] = ["", *filter(None, found.split(os.pathsep))]
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        exec(arguments[1], {"__name__": "__main__"})
    else:
        sys.path[0] = str(Path(arguments[0]).parent)
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def _end(request):
    """Give a request, and end as Python would, but without clearing the memory.

    That touches each object that was imported, and so copies all of the server's pages:
    seconds for each call.
    """
    code = 1
    try:
        _become(**request)
        code = 0
    except SystemExit as ended:
        code = ended.code
        if isinstance(code, str):
            sys.stderr.write(code + "\n")
        code = 0 if code is None else code if isinstance(code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    threading._shutdown()  # waits for other threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__" and (_request := _serve()):
    _end(_request)
