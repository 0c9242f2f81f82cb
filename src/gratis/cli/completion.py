"""What the shell offers for a name that the user has begun to type."""


def recipes(incomplete: str) -> list[str]:
    """Return the packaged recipes that begin so."""
    from gratis.packaged import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


def profiles(incomplete: str) -> list[str]:
    """Return the packaged profiles that begin so."""
    from gratis.packaged import profile_names

    return [name for name in profile_names() if name.startswith(incomplete)]


def loggers(incomplete: str) -> list[str]:
    """Return the loggers that begin so."""
    from gratis.loggers import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]
