"""The scripts of an example, imported as they import each other."""

import importlib
import sys
from contextlib import contextmanager


@contextmanager
def scripts_of(folder, *names):
    """Gives what imports a script of a folder by its name, one of `names`.

    Each is loaded anew and gone afterwards, as other examples have the same names.
    """
    sys.path.insert(0, str(folder))
    for name in names:
        sys.modules.pop(name, None)
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
