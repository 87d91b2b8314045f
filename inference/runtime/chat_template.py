"""Write the prompt as the model's own chat template does, and make sure that it asks what was meant.

Templates raise (no system role), silently drop the system prompt, leave out the question, and
write today's date. What they write is what the model is asked, so it is checked, and on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from inference.contract import FailureCode, GenerationParameters, Item, Rendering, text_digest
from inference.model_files import first_line

# Transformers gives templates the function ``strftime_now``, which reads the clock, and lets a caller
# pass plain data only. A macro of the same name, written before the template, takes its place.
_PINNED_CLOCK = (
    "{% macro strftime_now(format) %}{% set written = namespace(text=format) %}"
    "{% for directive, value in pinned_date.items() %}"
    "{% set written.text = written.text.replace(directive, value) %}{% endfor %}"
    "{{ written.text }}{% endmacro %}\n"
)
_DIRECTIVES = tuple(f"%{flag}{letter}" for flag in ("", "-") for letter in "aAbBcdHIjmMpSUwWxXyYZ")
LLAMA_DATE = "%d %b %Y"  # of ``date_string`` in Llama 3's templates


class NotRendered(Exception):
    """A template that does not ask what was meant; the same prompt will fail again."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Rendered:
    """A prompt as the model gets it."""

    text: str
    rendering: Rendering


class ChatTemplate:
    """The chat template of a tokenizer. Raises ValueError where it has none, or no default one."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._text = str(tokenizer.get_chat_template())
        self.sha256 = text_digest(self._text)

    def render(self, item: Item, parameters: GenerationParameters) -> Rendered:
        """The prompt of an item: with a system role where the template has one, else with the system
        prompt before the question. Raises NotRendered."""
        question = {"role": "user", "content": item.prompt}
        if not item.system_prompt:
            return Rendered(self._write(item, [question], parameters), Rendering.SYSTEM_ROLE)
        system = {"role": "system", "content": item.system_prompt}
        try:
            return Rendered(self._write(item, [system, question], parameters), Rendering.SYSTEM_ROLE)
        except NotRendered:
            merged = {"role": "user", "content": f"{item.system_prompt}\n\n{item.prompt}"}
            return Rendered(self._write(item, [merged], parameters), Rendering.SYSTEM_IN_QUESTION)

    def _write(self, item: Item, messages: list[dict[str, str]], parameters: GenerationParameters) -> str:
        pinned, dates = self._text, {}
        if parameters.prompt_date is not None:
            pinned = _PINNED_CLOCK + self._text
            dates = _dates(parameters.prompt_date)
        try:
            text = self._tokenizer.apply_chat_template(
                messages,
                chat_template=pinned,
                tokenize=False,
                add_generation_prompt=True,
                **dates | parameters.template_arguments,
            )
        except Exception as error:
            # A template is a program of its repository's: it may raise anything.
            raise NotRendered(
                FailureCode.GENERATION_ERROR, f"the chat template raised: {first_line(error)}"
            ) from error
        if missing := _missing(str(text), item):
            raise NotRendered(FailureCode.REJECTED, f"the chat template leaves out {missing}")
        return str(text)


def _dates(day: date) -> dict[str, Any]:
    """What a template gets in place of the clock: the beginning of a day."""
    moment = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - as the clock that it replaces
    written = {directive: moment.strftime(directive) for directive in _DIRECTIVES}
    return {"pinned_date": written, "date_string": moment.strftime(LLAMA_DATE)}


def _missing(text: str, item: Item) -> str | None:
    """What of an item a rendering lacks. Each must be there on its own: the longer one is looked for
    first, and what is found is not found again. Templates trim, so outer blanks do not count."""
    wanted = {"the system prompt": item.system_prompt.strip(), "the question": item.prompt.strip()}
    for name, content in sorted(wanted.items(), key=lambda pair: -len(pair[1])):
        if content not in text:
            return name
        text = text.replace(content, "\0", 1) if content else text
    return None
