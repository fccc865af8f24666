"""The page at `/graphql`: a small console of our own. GraphiQL loads from a CDN, which this platform does without.

It runs queries, not subscriptions, and shows the schema. A key that is typed into it stays in the page.
"""

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_STYLE = """\
:root { color-scheme: dark light; --line: #8886; --accent: #2bb3a3; }
body { font: 15px/1.55 system-ui, sans-serif; max-width: 1100px; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin: 0 0 .25rem; font-size: 1.5rem; }
p { margin: .4rem 0 1rem; } label { display: block; margin: .6rem 0 .2rem; }
textarea, input, pre { box-sizing: border-box; width: 100%; border: 1px solid var(--line); border-radius: 8px;
  padding: .75rem 1rem; font: 13px/1.5 ui-monospace, monospace; background: #8881; color: inherit; }
pre { overflow: auto; max-height: 30rem; min-height: 3rem; white-space: pre-wrap; }
button { margin: .75rem 0; padding: .5rem 1.25rem; border: 0; border-radius: 8px; background: var(--accent);
  color: #06251f; font: inherit; font-weight: 600; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (min-width: 800px) { .both { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; } }
"""
_SAMPLE = """\
{
  symbols(limit: 5) {
    name
    latest { stale tick { price eventTimeUs } }
    bars(window: "1min", limit: 3) { nodes { startUs open high low close volume final } }
  }
}
"""
_SCRIPT = """\
"use strict";
const at = (id) => document.getElementById(id);
async function run() {
  const headers = { "Content-Type": "application/json", Accept: "application/graphql-response+json" };
  if (at("key").value) headers.Authorization = "Bearer " + at("key").value;
  at("answer").textContent = "…";
  try {
    const variables = at("variables").value.trim() ? JSON.parse(at("variables").value) : null;
    const body = JSON.stringify({ query: at("query").value, variables });
    const answer = await fetch("/graphql", { method: "POST", headers, body });
    at("answer").textContent = JSON.stringify(await answer.json(), null, 2);
  } catch (error) {
    at("answer").textContent = String(error);
  }
}
at("run").addEventListener("click", run);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
});
fetch("/graphql/schema").then(async (answer) => {
  at("schema").textContent = answer.ok ? await answer.text() : "This server does not tell its schema.";
});
"""


def page() -> str:
    """The page, which loads its script from `/graphql/console.js` and nothing from elsewhere."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>marketstream GraphQL</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f'<style>{_STYLE}</style><script src="/graphql/console.js" defer></script></head><body>'
        "<h1>marketstream GraphQL</h1><p>Queries run here; subscriptions are for clients that speak "
        "<code>graphql-transport-ws</code> at this address. Ctrl+Enter runs.</p>"
        '<label for="key">API key or token, where this server asks for one</label>'
        '<input id="key" type="password" autocomplete="off" spellcheck="false"><div class="both"><div>'
        '<label for="query">Query</label>'
        f'<textarea id="query" rows="14" spellcheck="false">{_SAMPLE}</textarea>'
        '<label for="variables">Variables, as JSON</label><textarea id="variables" rows="3" spellcheck="false">'
        '</textarea><button id="run" type="button">Run</button></div><div><label for="answer">Answer</label>'
        '<pre id="answer" tabindex="0"></pre></div></div><h2>Schema</h2><pre id="schema" tabindex="0"></pre>'
        "</body></html>"
    )


def script() -> str:
    """What the page runs."""
    return _SCRIPT
