"""What the documentation site has beyond the Markdown in docs, as hooks of MkDocs.

- The pages of the repository's root, such as CONTRIBUTING.md, and the notebooks of examples.
- The files outside docs that pages link, such as examples/own_loop.py.
- A line above each block of code that the tests do not run, with the reason.
- The whole width of the page for the tables of results.
"""

import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
ROOT_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "LOG.md", "SECURITY.md")
LINK = re.compile(r"(\]\()([^)#:\s]+)(#[^)]*)?(\))")
WIDE = re.compile(r"results/[^/]+/(table|paired|study)\.md")
NOT_RUN = re.compile(r"^( *)<!-- not run: (.*?) -->$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root's pages, the notebooks, and every other file that a page links."""
    for name in ROOT_PAGES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        for file in _notebook(path, config):
            files.append(file)
    for linked in sorted(_linked_sources(files)):
        place = _site_path(linked)
        files.append(File.generated(config, place, abs_src_path=str(ROOT / linked)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links out of docs to their place on the site, and mark what the tests do not run."""
    here = posixpath.dirname(page.file.src_uri)
    if WIDE.fullmatch(page.file.src_uri):
        page.meta["hide"] = ["navigation", "toc"]

    def moved(match: re.Match[str]) -> str:
        opening, target, anchor, closing = match.groups(default="")
        place = _site_path(_repository_path(page.file.src_uri, target))
        return f"{opening}{posixpath.relpath(place, here or '.')}{anchor}{closing}"

    marked = NOT_RUN.sub(r'\1<p class="not-run">Not run by the tests: \2</p>\n', markdown)
    return LINK.sub(moved, marked)


def _repository_path(page: str, target: str) -> str:
    """Return the path, below the repository's root, that a link of a page of the site leads to."""
    source = page if page in ROOT_PAGES else f"docs/{page}"
    if page.startswith("examples/"):
        source = page
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(target)))


def _site_path(path: str) -> str:
    """Return the place on the site of a file of the repository."""
    if path.startswith("examples/") and path.endswith(".ipynb"):
        return path.removesuffix(".ipynb") + ".md"
    return path.removeprefix("docs/")


def _linked_sources(files: Files) -> set[str]:
    """Return the files outside docs, other than pages, that pages of the site link."""
    known = {file.src_uri for file in files}
    pages = [file for file in files if file.is_documentation_page()]
    targets = {
        _repository_path(page.src_uri, match[2])
        for page in pages
        for match in LINK.finditer(page.content_string)
    }
    return {path for path in targets if _site_path(path) not in known and (ROOT / path).is_file()}


def _notebook(path: Path, config: MkDocsConfig) -> list[File]:
    """Return a notebook as a page, and its images."""
    name = f"examples/{path.stem}"
    exporter = MarkdownExporter()  # type: ignore[no-untyped-call]
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    source, resources = exporter.from_notebook_node(notebook, {"output_files_dir": path.stem})
    images = [
        File.generated(config, f"examples/{image}", content=content)
        for image, content in resources["outputs"].items()
    ]
    return [File.generated(config, f"{name}.md", content=source), *images]
