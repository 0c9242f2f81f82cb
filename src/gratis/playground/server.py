"""Serve the page."""

from collections.abc import Callable

import gradio as gr

from gratis.errors import GratisError

_LARGEST_UPLOAD = "20mb"


def theme() -> gr.themes.Base:
    """Return the look of the page, with the fonts of the visitor's machine.

    Those of gradio's own themes are fetched from a server. Its explanations are too pale to read.
    """
    look = gr.themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    return look.set(block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300")


def serve(
    page: gr.Blocks, host: str, port: int | None, browser: bool, announce: Callable[[str], None]
) -> None:
    """Serve a page until the process is interrupted. Nothing is sent anywhere else.

    Args:
        page: the page.
        host: the address to listen on.
        port: the port; ``None`` takes the first free one from 7860 on.
        browser: whether to open the page.
        announce: called with the page's address once it can be opened.

    Raises:
        GratisError: the port is taken.
    """
    try:
        page.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            share=False,
            quiet=True,
            ssr_mode=False,
            footer_links=[],
            max_file_size=_LARGEST_UPLOAD,
            theme=theme(),
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise GratisError(f"play: {error}; choose another --port") from error
    announce(str(page.local_url))
    page.block_thread()
