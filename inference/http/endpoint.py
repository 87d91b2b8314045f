"""An OpenAI-compatible API as a value, whose key no message ever shows."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator

from inference.contract import Value

BASE_URL_FORM = "write an http(s) URL without user, password, query or fragment, such as https://host/v1"


def is_base_url(text: str) -> bool:
    """Whether ``/chat/completions`` can be appended to a text, and it holds no credentials."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return False
    plain = not (url.username or url.password or "@" in url.netloc or "?" in text or "#" in text)
    return url.scheme in ("http", "https") and bool(url.hostname) and plain and text.isascii()


EndpointStyle = Literal["openai", "vllm", "tgi"]


class Endpoint(Value):
    """Where a deployment is served: ``/chat/completions`` is appended to ``base_url``.

    ``model`` is its name there, ``model_aliases`` are other names that replies give it;
    ``api_key_variable`` is the name to mention where a key is missing; ``region_header`` is the
    response header in which the endpoint says where it ran; ``style`` says which fields it takes: those
    of OpenAI alone, also those that vLLM, SGLang and llama.cpp add, or TGI's, which refuses a ``top_p``
    of 1 (``validation.rs`` of its router); ``timeout_seconds`` bounds a call.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    base_url: str
    model: str = Field(min_length=1)
    model_aliases: tuple[str, ...] = ()
    api_key: SecretStr | None = None
    api_key_variable: str | None = None
    region_header: str | None = None
    style: EndpointStyle = "vllm"
    timeout_seconds: float = Field(gt=0)

    @field_validator("base_url")
    @classmethod
    def _is_base_url(cls, value: str) -> str:
        if not is_base_url(value):
            raise ValueError(BASE_URL_FORM)
        return value.rstrip("/")

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.base_url).netloc

    @property
    def key_problem(self) -> str | None:
        """Why the key cannot be sent, without a word of the key."""
        if self.api_key is None:
            return f"set {self.api_key_variable}" if self.api_key_variable else None
        if re.fullmatch(r"[!-~]+", self.api_key.get_secret_value()):
            return None
        return f"{self.api_key_variable or 'the key'} is empty, or has spaces or line breaks"

    def serves(self, model: str) -> bool:
        """Whether a reply that names this model is of the one that is asked."""
        return model.casefold() in {name.casefold() for name in (self.model, *self.model_aliases)}

    @property
    def headers(self) -> dict[str, str]:
        """What to send with each request: holds the key."""
        return {"Authorization": f"Bearer {self.api_key.get_secret_value()}"} if self.api_key else {}

    def without_key(self, text: str) -> str:
        """The text of an endpoint that may quote what it was sent."""
        key = self.api_key.get_secret_value() if self.api_key else ""
        return text.replace(key, "***") if key else text
