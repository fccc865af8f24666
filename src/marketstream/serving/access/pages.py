"""The sign-in page of the screens: plain HTML in the dashboard's own design, without a script but for the scheme."""

from html import escape

STYLE = """\
:root { --page: #0b0e13; --card: #12161e; --line: #212835; --text: #e8ebf1; --muted: #8e98a9; --up: #35c9b0;
  --down: #f2704a; --vwap: #a99bff; --ink: #0b0e13; color-scheme: dark; }
:root[data-scheme="light"] { --page: #f3f5f8; --card: #ffffff; --line: #e3e7ed; --text: #161b24; --muted: #5d6778;
  --up: #0b7f70; --down: #c6421c; --vwap: #6a55d8; --ink: #ffffff; color-scheme: light; }
body { margin: 0; min-height: 100dvh; display: grid; place-items: center; background: var(--page); color: var(--text);
  font: 15px/1.5 Inter, "Segoe UI Variable Text", "Segoe UI", system-ui, -apple-system, Roboto, "Helvetica Neue",
    "DejaVu Sans", sans-serif; }
main { box-sizing: border-box; width: min(400px, 100vw - 32px); padding: 28px; background: var(--card);
  border: 1px solid var(--line); border-radius: 12px; }
.brand { display: flex; align-items: center; gap: 10px; font-size: 16px; font-weight: 650; letter-spacing: -0.01em; }
.mark { width: 20px; height: 20px; background: linear-gradient(135deg, var(--up), var(--vwap));
  clip-path: polygon(0 62%, 18% 62%, 18% 34%, 38% 34%, 38% 78%, 58% 78%, 58% 8%, 78% 8%, 78% 50%, 100% 50%, 100% 100%,
    0 100%); }
h1 { margin: 22px 0 6px; font-size: 22px; line-height: 1.2; letter-spacing: -0.015em; }
p { margin: 0 0 18px; color: var(--muted); }
label { display: block; margin-bottom: 6px; font-weight: 600; }
input { box-sizing: border-box; width: 100%; padding: 11px 12px; border-radius: 8px; border: 1px solid var(--line);
  background: var(--page); color: var(--text); font: 15px ui-monospace, "DejaVu Sans Mono", monospace; }
button { width: 100%; margin-top: 16px; padding: 11px; border: 0; border-radius: 8px; background: var(--up);
  color: var(--ink); font: inherit; font-weight: 650; cursor: pointer; }
:focus-visible { outline: 2px solid var(--up); outline-offset: 2px; }
.fault { margin: 0 0 16px; padding: 9px 12px; border-radius: 8px; color: var(--text);
  border: 1px solid color-mix(in srgb, var(--down) 50%, transparent);
  background: color-mix(in srgb, var(--down) 12%, var(--card)); }
"""
# The scheme that the dashboard remembers, before the first paint.
SCRIPT = """\
document.documentElement.dataset.scheme =
  localStorage.getItem("mantine-color-scheme-value") === "light" ? "light" : "dark";
"""
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


def sign_in_page(next_path: str, fault: str | None = None) -> str:
    """The page.

    Args:
        next_path: Where to go on to; a path of this server.
        fault: What was wrong with the last try.
    """
    notice = f'<div class="fault" role="alert">{escape(fault)}</div>' if fault else ""
    described = ' aria-invalid="true"' if fault else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in · marketstream</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        'content="dark light"><link rel="icon" href="data:,"><script src="/login/scheme.js"></script>'
        '<link rel="stylesheet" href="/login/login.css"></head><body><main>'
        '<div class="brand"><i class="mark"></i><span>marketstream</span></div><h1>Sign in</h1>'
        f"<p>Use an API key or a token that opens the screens.</p>{notice}"
        f'<form method="post" action="/login"><input type="hidden" name="next" value="{escape(next_path)}">'
        '<label for="credential">API key or token</label><input id="credential" name="credential" type="password" '
        f'autocomplete="current-password" spellcheck="false" required autofocus{described}>'
        '<button type="submit">Sign in</button></form></main></body></html>'
    )
