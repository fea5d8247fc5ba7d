import type { FastifyReply } from 'fastify';
import { type Html, html } from './html.ts';
import type { ShopSession } from './sessions.ts';

/**
 * A page's own part: its title, also the one h1, and what stands under it. `formsLeadOut`: a form on it may be answered
 * with a redirect to the partner's site. `countsDown`: it shows how much time is left.
 */
export type Page = { title: string; content: Html; formsLeadOut?: boolean; countsDown?: boolean };

/** A page inside the shop's frame, which shows whose session it is. */
export function pageAnswer(session: ShopSession, page: Page, status: number): Response {
  return new Response(`<!doctype html>\n${frame(session, page).markup}`, {
    status,
    headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': contentSecurityPolicy(page) },
  });
}

export function sendPage(reply: FastifyReply, session: ShopSession, page: Page, status = 200): FastifyReply {
  return reply.send(pageAnswer(session, page, status));
}

function contentSecurityPolicy({ formsLeadOut = false, countsDown = false }: Page): string {
  const rules = [
    "default-src 'none'",
    ...(countsDown ? ["script-src 'self'"] : []),
    "style-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ];
  // Chromium applies form-action to every redirect that follows a form, so a payment page that has it strands a paid
  // customer as soon as the partner's site redirects once more.
  return (formsLeadOut ? rules : [...rules, "form-action 'self'"]).join('; ');
}

function frame(session: ShopSession, page: Page): Html {
  return html`<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${page.title} – Roxy</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/roxy.css">
${page.countsDown ? html`<script src="/roxy.js" defer></script>` : null}
</head>
<body>
<a class="skip" href="#main">Skip to the page</a>
<header>
<div class="bar">
<a class="brand" href="/">Roxy</a>
<nav aria-label="Shop"><a href="/">Home</a><a href="/basket">Basket</a></nav>
<p class="visitor">${session.staff ? html`<span class="badge">Box office</span> ` : null}${whoIs(session)}</p>
</div>
</header>
<main id="main">
<h1>${page.title}</h1>
${page.content}
</main>
<footer><p>Roxy is a demonstration. No money moves and no doors open.</p></footer>
</body>
</html>`;
}

function whoIs({ customerId }: ShopSession): string {
  return customerId === null ? 'Not signed in' : `Signed in as ${customerId}`;
}
