import { createHash } from 'node:crypto';

const markup = Symbol('markup');

/** Markup that is safe to send as it is. Only this module makes it, so no parsed JSON can pass for it. */
export type Html = { readonly [markup]: string };

/** What `html` takes: text and numbers are escaped, `Html` passes, a list is joined, null leaves nothing. */
type Interpolation = string | number | Html | readonly Html[] | null;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

function render(value: Interpolation): string {
  if (value === null) return '';
  if (typeof value === 'string') return escapeText(value);
  if (typeof value === 'number') return String(value);
  if (markup in value) return value[markup];
  return value.map(render).join('');
}

/**
 * Template tag for markup. Interpolations are escaped for element content and for *quoted* attribute values; it does
 * not judge URLs, so whoever fills an `href` checks the scheme first.
 */
export function html(strings: TemplateStringsArray, ...values: Interpolation[]): Html {
  return { [markup]: strings.reduce((done, literal, index) => done + render(values[index - 1] ?? null) + literal) };
}

/** Text from outside, fenced off: a name written right to left, or holding a bidi override, cannot reorder what is around it. */
export function isolated(text: string): Html {
  return html`<bdi>${text}</bdi>`;
}

const STYLESHEET = `
:root {
  color-scheme: light dark;
  --ground: #f4f4f1;
  --card: #fff;
  --text: #1d1d1b;
  --quiet: #5b5b56;
  --line: #deded8;
  --accent: #1d4ed8;
  --button: #1d1d1b;
  --button-hover: #3a3a36;
  --button-text: #fff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #131312;
    --card: #1d1d1b;
    --text: #ecece8;
    --quiet: #a9a9a2;
    --line: #363632;
    --accent: #9dbcff;
    --button: #ecece8;
    --button-hover: #cfcfc9;
    --button-text: #1d1d1b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0;
  padding: 4rem 2rem;
  background: var(--ground);
  color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif;
  overflow-wrap: anywhere;
}
main {
  max-width: 32rem;
  margin: 0 auto;
  padding: 2rem;
  background: var(--card);
  border: 1px solid var(--line);
  border-radius: 0.75rem;
}
h1 { margin: 0 0 0.5rem; font-size: 1.5rem; line-height: 1.25; text-wrap: balance; }
h2 { margin: 1.75rem 0 0.5rem; color: var(--quiet); font-size: 0.875rem; font-weight: 600; }
p { margin: 0 0 0.75rem; text-wrap: pretty; }
/* With "none", VoiceOver no longer calls it a list. */
ul { margin: 0; padding: 0; list-style: ''; border-top: 1px solid var(--line); }
li { display: flex; gap: 0.75rem; padding: 0.625rem 0; border-bottom: 1px solid var(--line); }
li > span:first-child {
  flex: none;
  min-width: 2.5rem;
  color: var(--quiet);
  font-variant-numeric: tabular-nums;
}
li.event { flex-direction: column; gap: 0; }
.total { display: flex; justify-content: space-between; gap: 1rem; margin: 0; padding: 0.625rem 0; font-weight: 600; }
.quiet { color: var(--quiet); font-size: 0.875rem; }
p.quiet { margin-bottom: 0.5rem; }
ul + .quiet, .total + .quiet { margin-top: 1.25rem; }
form { margin: 1.75rem 0 1.25rem; }
form p { margin-bottom: 1rem; }
button {
  width: 100%;
  min-height: 3rem;
  padding: 0.625rem 1.25rem;
  border: 1px solid transparent;
  border-radius: 0.5rem;
  background: var(--button);
  color: var(--button-text);
  font: inherit;
  font-weight: 600;
  cursor: pointer;
}
button:hover { background: var(--button-hover); }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 0.9375em; }
main > :last-child { margin-bottom: 0; }
@media (max-width: 36rem) {
  body { padding: 0; background: var(--card); }
  main { padding: 1.5rem 1.25rem; border: 0; }
}
`;

const styleElement: Html = { [markup]: `<style>${STYLESHEET}</style>` };
const styleSource = `'sha256-${createHash('sha256').update(STYLESHEET).digest('base64')}'`;

/** Scheme, host and port as a CSP source can name them; `;` and `,` are allowed in a URL's host and would end the directive. */
const CSP_ORIGIN = /^https?:\/\/[a-z0-9._-]+(:\d+)?$/;

/**
 * The `Content-Security-Policy` of every page made by {@link page}: nothing is loaded but its own stylesheet.
 * Browsers hold the redirect after a form's POST to `form-action` as well, so a page whose button leads to another
 * origin names that origin. Order and repetition of the origins do not change the answer; one that CSP cannot express
 * is left out.
 */
export function contentSecurityPolicy({ formActionOrigins }: { formActionOrigins: readonly string[] }): string {
  const origins = [...new Set(formActionOrigins)].filter((origin) => CSP_ORIGIN.test(origin)).sort();
  return [
    "default-src 'none'",
    `style-src ${styleSource}`,
    ["form-action 'self'", ...origins].join(' '),
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "img-src 'none'",
  ].join('; ');
}

const BIDI_CONTROLS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * The one layout of all pages. `lang` is a BCP 47 tag, `title` plain text, `body` what goes into `<main>`, the
 * one `<h1>` included. Returns the whole document, to be sent as UTF-8 with {@link contentSecurityPolicy}.
 */
export function page({ lang, title, body }: { lang: string; title: string; body: Html }): string {
  // A title takes no <bdi>, so an override in it would turn round the rest of the browser's tab.
  const safeTitle = title.replace(BIDI_CONTROLS, '');
  return html`<!doctype html>
<html lang="${lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>${safeTitle}</title>
${styleElement}
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`[markup];
}

/**
 * The page behind a problem's `type`, for whoever reads an error answer: a row of the error table, whose `title` and
 * `text` are in English; a name in `text` may stand between backticks.
 */
export function problemDocumentationPage(problem: {
  code: string;
  status: number;
  alsoStatus?: readonly number[];
  title: string;
  text: string;
}): string {
  const statuses = [problem.status, ...(problem.alsoStatus ?? [])].join(' or ');
  return page({
    lang: 'en',
    title: `${problem.title} (${problem.code})`,
    body: html`<p class="quiet">HTTP ${statuses} · <code>${problem.code}</code></p>
<h1>${problem.title}</h1>
<p>${withCode(problem.text)}</p>
<p class="quiet">The answer that led here says in <code>detail</code> what happened in that one case. Quote its <code>requestId</code> when you ask for help.</p>`,
  });
}

function withCode(text: string): Html[] {
  return text.split('`').map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : html`${part}`));
}
