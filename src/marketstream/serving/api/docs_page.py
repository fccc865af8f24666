"""The `/docs` page: the OpenAPI description as plain HTML, with no script and nothing from elsewhere."""

from html import escape
from typing import Any
from urllib.parse import urlencode

import orjson

from marketstream.serving.api.examples import PATH_VALUES

_STYLE = """
:root { color-scheme: dark light; --line: #8884; --soft: #8889; --accent: #2bb3a3; }
body { font: 15px/1.55 system-ui, sans-serif; max-width: 860px; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { margin: 0 0 .25rem; } h2 { margin: 2.5rem 0 .25rem; font-size: 1.05rem; font-family: ui-monospace, monospace; }
h2 b { color: var(--accent); margin-right: .6rem; } p { margin: .4rem 0; }
table { border-collapse: collapse; width: 100%; margin: .75rem 0; }
td, th { border-top: 1px solid var(--line); padding: .35rem .75rem .35rem 0; text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 500; font-size: .85rem; } td:first-child { font-family: ui-monospace, monospace; }
pre { background: #8881; border-radius: 8px; padding: .75rem 1rem; overflow-x: auto; font-size: 13px; }
a { color: var(--accent); } code { background: #8881; padding: 0 .25em; border-radius: 4px; }
"""


def render(openapi: dict[str, Any], base_url: str) -> str:
    """The page for an OpenAPI description; `base_url` makes the sample calls complete."""
    operations = "".join(
        _operation(openapi, base_url, f"{method.upper()} {path}", operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    )
    info = openapi["info"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])} REST</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} REST</h1>{_prose(info['description'])}"
        f'<p>Machine-readable: <a href="/openapi.json">openapi.json</a></p>{operations}</body></html>'
    )


def _operation(openapi: dict[str, Any], base_url: str, request: str, operation: dict[str, Any]) -> str:
    method, _, path = request.partition(" ")
    parameters = "".join(map(_parameter, operation.get("parameters", [])))
    table = f"<table><tr><th>Parameter<th>Default<th>Meaning</tr>{parameters}</table>" if parameters else ""
    query = urlencode(operation.get("x-example-query", {}))
    sample = path.format_map(PATH_VALUES) + (f"?{query}" if query else "")
    asked = "-H 'X-API-Key: …' " if operation.get("security") else ""
    call, link = f"curl {asked}'{base_url}{sample}'", f'<p><a href="{escape(sample)}">Try it</a></p>'
    if "requestBody" in operation:
        body = orjson.dumps(_example(openapi, operation["requestBody"])).decode()
        call, link = f"curl {asked}-H 'Content-Type: application/json' -d '{body}' '{base_url}{sample}'", ""
    example = _example(openapi, operation["responses"]["200"])
    answer = "" if example is None else orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()
    return (
        f"<h2><b>{method}</b>{escape(path)}</h2><p>{escape(operation.get('summary', ''))}. "
        f"{escape(operation.get('description', ''))}</p>{table}{'' if asked else link}"
        f"<pre>{escape(call)}\n\n{escape(answer)}</pre>"
    )


def _parameter(parameter: dict[str, Any]) -> str:
    default = parameter["schema"].get("default")
    shown = "required" if parameter.get("required") else "none" if default is None else str(default)
    return f"<tr><td>{escape(parameter['name'])}<td>{escape(shown)}<td>{_prose(parameter.get('description', ''))}</tr>"


def _example(openapi: dict[str, Any], described: dict[str, Any]) -> Any:
    """The example of a request's or an answer's body; None of a file."""
    content = described["content"].get("application/json")
    if content is None:
        return None
    schema = openapi["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[-1]]
    return schema["example"]


def _prose(text: str) -> str:
    """Paragraphs, with back-quoted words as code."""
    parts = escape(text).split("`")
    marked = "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
    return "".join(f"<p>{paragraph}</p>" for paragraph in marked.split("\n\n"))
