# SPDX-License-Identifier: Apache-2.0
"""Builds the compiled part of the servers, `native.pyx`, where there is a C compiler; without one Python does its work."""

from __future__ import annotations

import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("services/pinakes/core/engine/native.pyx")


class CustomBuildHook(BuildHookInterface[Any]):
    """Compiles before the wheel is packed, and in place for an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the compiled module beside its source; say so when that can't be done."""
        del version
        if self.target_name != "wheel":
            return
        source = Path(self.root) / SOURCE
        target = source.with_name(f"native{sysconfig.get_config_var('EXT_SUFFIX')}")
        try:
            compiled(source, target)
        except (Exception, SystemExit) as error:
            target.unlink(missing_ok=True)
            print(f"pinakes: {SOURCE.name} isn't compiled, Python does its work: {error}", file=sys.stderr)
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(target.relative_to(self.root).as_posix())


def compiled(source: Path, target: Path) -> None:
    """Compile a Cython module. Raises what compilers raise, for instance if there is none."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    with tempfile.TemporaryDirectory() as folder:
        extension = Extension("pinakes.core.engine.native", [str(source)], extra_compile_args=["-O3"])
        made = cythonize([extension], build_dir=folder, quiet=True)
        command = build_ext(Distribution({"name": "pinakes", "ext_modules": made}))
        command.build_lib, command.build_temp = folder, folder
        command.ensure_finalized()
        command.run()
        (built,) = Path(folder).rglob(f"native{sysconfig.get_config_var('EXT_SUFFIX')}")
        target.unlink(missing_ok=True)
        target.write_bytes(built.read_bytes())
        target.chmod(0o755)
