"""Anchors of headings. The heading of an error begins with its code, and its anchor is the code alone."""

import re

from markdown.extensions.toc import slugify as slugify_words

_CODE = re.compile(r"LP\d{3}\b")


def slugify(heading: str, separator: str) -> str:
    """Return the anchor of a heading: ``lp201`` for ``LP201: no such relationship``, so that a title may change."""
    code = _CODE.match(heading)
    return code[0].lower() if code else slugify_words(heading, separator)
