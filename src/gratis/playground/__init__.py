"""A local page on which one attacks an image and sees what models predict."""

from gratis.playground.models import PlaygroundModel, load_models
from gratis.playground.page import build_page
from gratis.playground.server import serve, theme
from gratis.playground.space import write_space

__all__ = ["PlaygroundModel", "build_page", "load_models", "serve", "theme", "write_space"]
