"""Requirements of this package that the environment does not meet."""

from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec


def find_unmet() -> dict[str, str]:
    """Find the requirements of this package that the environment does not meet.

    Returns:
        The version that is installed, "" if there is none, by requirement, such as `typer>=0.16`.
    """
    try:
        from packaging.requirements import Requirement  # which spaCy requires
        from packaging.version import InvalidVersion, Version

        requirements = [Requirement(line) for line in requires("spacy-bertft") or []]
    except ImportError:  # no packaging, or no metadata: a checkout on the path
        return {}
    unmet = {}
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        text = f"{requirement.name}{requirement.specifier}"
        try:
            installed = version(requirement.name)
            if not requirement.specifier.contains(Version(installed), prereleases=True):
                unmet[text] = installed
        except PackageNotFoundError:
            if find_spec(requirement.name.replace("-", "_")) is None:
                unmet[text] = ""
        except InvalidVersion:  # of somebody's own build
            continue
    return unmet
