"""A conversation as the text that a chat model was trained on, by its own template (Jinja)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError
from jinja2.ext import Extension
from jinja2.nodes import CallBlock, Node
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from oneblock.data.errors import DataError

Message = Mapping[str, Any]


def render_chat(
    template: str, messages: Sequence[Message], special: Mapping[str, str], *, add_generation_prompt: bool = True
) -> str:
    """The text of a conversation, up to where the model's own words begin.

    messages: each with `role` ("system", "user", "assistant") and `content`; special: what the template finds as
    `bos_token`, `eos_token`, …; raises `DataError` with the template's own words where it refuses the conversation.
    A template comes with a model and is not trusted: it runs in Jinja's sandbox and sees nothing but these.
    """
    given = [{str(key): value for key, value in message.items()} for message in messages]
    try:
        rendered: str = _compiled(template).render(
            messages=given, tools=None, documents=None, add_generation_prompt=add_generation_prompt, **special
        )
    except Exception as error:
        # A template is a program of someone else's: it can fail in any way that Python can.
        raise DataError(
            f"the model's chat template failed: {error}. Leave --chat out to give the text as it is"
        ) from None
    return rendered


@lru_cache(maxsize=8)
def _compiled(template: str) -> Any:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _now
    return environment.from_string(template)


class _GenerationTag(Extension):
    """`{% generation %}…{% endgeneration %}`, by which templates mark the model's own words: its body as it is."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own way of declaring it

    def parse(self, parser: Parser) -> Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)

    def _as_it_is(self, caller: Macro) -> str:
        return caller()


def _raise(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _tojson(value: Any, ensure_ascii: bool = False, **form: Any) -> str:
    # Jinja's own filter writes < > & ' as escapes, for web pages.
    dumps: Callable[..., str] = json.dumps
    return dumps(value, ensure_ascii=ensure_ascii, **form)
