# SPDX-License-Identifier: Apache-2.0

"""Lets the tests import the stand-in of a fork, ``nova``."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "fork"))
