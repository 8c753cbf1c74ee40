"""The texts that stand beside the program say what it does: man page, completion, catalog, example configuration."""

import re
import shutil
import subprocess

import pytest
from box import TREE
from conftest import BUILD

PAGE = TREE / "src/command/vodhook.1"
CATALOG = TREE / "systemd/vodhook.catalog"
