"""Libraries that are preloaded into the program to make its clock leap or its disk fail."""

import os
import pathlib
import subprocess

import pytest
from harness import PROGRAM, SANITIZED, TREE


def shim(name):
    """The environment that preloads shims/NAME.c."""
    if SANITIZED:
        pytest.skip("the sanitizer has to be the first library")
    source, built = TREE / f"tests/e2e/shims/{name}.c", pathlib.Path(PROGRAM).resolve().parent / f"shims/{name}.so"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        built.parent.mkdir(exist_ok=True)
        fresh = built.with_suffix(f".{os.getpid()}")
        subprocess.run([os.environ.get("CC", "cc").split()[-1], "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", fresh, source,
                        "-ldl"], check=True)
        fresh.rename(built)
    return {"LD_PRELOAD": str(built)}
