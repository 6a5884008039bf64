"""Print constraints for pip that take every requirement of pyproject.toml at its lower bound."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
for requirement in [*project["dependencies"], *extras["bench"], *extras["dask"], *extras["numba"], *extras["test"]]:
    found = re.fullmatch(r"([\w.-]+)(?:\[[^]]*\])?>=([\d.]+)", requirement)
    if found:  # pinned ones stay as they are
        name, version = found.groups()
        print(f"{name}=={version if version.count('.') else version + '.0'}.*")
print("pyparsing<3.3")  # later ones warn of names that the oldest matplotlib uses
