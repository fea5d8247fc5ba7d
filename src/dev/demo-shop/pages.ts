import type { Basket, Item, Problem, Unavailable } from './api.ts';
import { formatMoney, formatTime } from './format.ts';
import { type Html, html } from './html.ts';
import type { Page } from './layout.ts';
import { problemText } from './problem-texts.ts';
import type { Payment, ShopSession } from './sessions.ts';

/** Who is signed in, and the forms that change it. */
export function homePage(session: ShopSession): Page {
  const { customerId, staff } = session;
  return {
    title: 'Welcome to the Roxy',
    content: html`<p class="lead">Your tickets come to you by link: open the one in your message, and they wait in your basket while you pay.</p>
<section class="card" aria-labelledby="account">
<h2 id="account">Your account</h2>
${
  customerId === null
    ? signInForm('/')
    : html`<p>You are signed in as <strong>${customerId}</strong>.</p>
<form method="post" action="/sign-out"><button class="quiet">Sign out</button></form>`
}
</section>
<section class="card" aria-labelledby="box-office">
<h2 id="box-office">Box office</h2>
${
  staff
    ? html`<p>This browser <strong>works at the box office</strong>. Links to baskets are for customers and are refused here.</p>
<form method="post" action="/box-office"><button class="quiet" name="staff" value="off">Leave the box office</button></form>`
    : html`<p>Demo: be a member of staff and see what happens to a customer’s link.</p>
<form method="post" action="/box-office"><button class="quiet" name="staff" value="on">Work at the box office</button></form>`
}
</section>`,
  };
}

/** The page of a browser that has no basket. */
export function noBasketPage(): Page {
  return {
    title: 'Your basket',
    content: html`<div class="card"><p class="lead">There is nothing in it yet.</p>
<p>Open the link in your message, and your tickets appear here.</p></div>
${onward('/', 'Go to the home page')}`,
  };
}

/** The basket as it stands: lines, totals and what can be done with it now. `items` is what the shop sells. */
export function basketPage(basket: Basket, items: readonly Item[], session: ShopSession): Page {
  const ended = endedText(basket);
  if (ended !== null) {
    return {
      title: ended.title,
      content: html`<div class="card"><p class="lead">${ended.text}</p>${basket.status === 'completed' ? lines(basket) : null}</div>
<div class="actions">
${ended.again ? html`<form method="post" action="/basket/again"><button>Try to get the same again</button></form>` : null}
<a class="button quiet" href="/">Go to the home page</a>
</div>`,
    };
  }
  return {
    title: 'Your basket',
    content: html`<div class="card ticket">
${basket.expiresAt === null ? null : heldUntil(basket, basket.expiresAt)}
${basket.customer?.email ? html`<p>For <strong>${basket.customer.email}</strong></p>` : null}
${basket.items.length === 0 ? html`<p class="lead">This basket is empty.</p>` : lines(basket)}
</div>
${basket.status === 'checkout' ? null : [lineForms(basket), codeForms(basket), accessForms(basket, items)]}
${basketActions(basket, session)}`,
    formsLeadOut: true,
    countsDown: basket.expiresAt !== null,
  };
}

/** Until when the basket is held, and more time for whoever asks: by the button at any time, in time by the warning. */
function heldUntil({ extensionsLeft, extendableUntil, serverTime, status }: Basket, expiresAt: string): Html {
  const secondsLeft = (Date.parse(expiresAt) - Date.parse(serverTime)) / 1000;
  const canExtend =
    status !== 'checkout' && extensionsLeft > 0 && extendableUntil !== null && expiresAt < extendableUntil;
  const warning = canExtend
    ? 'Your tickets are held for less than a minute more. Press “I need more time” to keep them longer.'
    : 'Your tickets are held for less than a minute more.';
  return html`${countdown('Held for you until', expiresAt, secondsLeft, warning, 'The time is over.')}
<form method="get" action="/basket" data-when-over hidden></form>
${canExtend ? html`<form method="post" action="/basket/extend"><button class="quiet">I need more time</button></form>` : null}`;
}

/** A moment with the time that is left until then, and a live region for what the script says when it nears. */
function countdown(label: string, moment: string, secondsLeft: number, warning: string, over: string): Html {
  return html`<p class="held" data-seconds-left="${secondsLeft}" data-warning="${warning}" data-over="${over}">${label} <strong>${formatTime(moment)}</strong> <span role="timer"></span></p>
<p role="status" class="warning"></p>`;
}

/** What can be changed of the basket, line by line. */
function lineForms({ items, modifiable }: Basket): Html {
  if (items.length === 0) return html``;
  return html`<section class="card" aria-labelledby="change">
<h2 id="change">Change your basket</h2>
${items.map(({ lineId, name, quantity, ...line }) =>
  modifiable && line.modifiable
    ? html`<form method="post" action="/basket/lines/${lineId}" class="line">
<label for="quantity-${lineId}">${name}</label>
<input id="quantity-${lineId}" type="number" name="quantity" value="${quantity}" min="1" max="10000" inputmode="numeric" required>
<button class="quiet">Change<span class="unseen"> the number of ${name}</span></button>
<button class="quiet" name="remove" value="yes" formnovalidate>Remove<span class="unseen"> ${name}</span></button>
</form>`
    : html`<p class="line"><strong>${name}</strong> ${quantity}, chosen for you: cannot be changed</p>`,
)}
</section>`;
}

/** The discount codes and gift cards in the basket, each to be taken away, and a field for another of each. */
function codeForms({ items, discountCodes, giftCards }: Basket): Html {
  if (items.length === 0) return html``;
  const given = [
    ...discountCodes.map((code) => givenCode('discount', code, code)),
    ...giftCards.map(({ last4 }) => givenCode('giftCard', last4, `Gift card …${last4}`)),
  ];
  return html`<section class="card" aria-labelledby="codes">
<h2 id="codes">Discounts and gift cards</h2>
${given}
${codeForm('discount', 'Discount code', 'MIDSUMMER10')}
${codeForm('giftCard', 'Gift card', 'ROXY 2026 GIFT')}
</section>`;
}

/**
 * What is sold with an access code only, and the field for one. Which of it a code unlocks the API alone knows: with any
 * code all of it can be tried.
 */
function accessForms({ items: lines, accessCodes, modifiable, currency }: Basket, items: readonly Item[]): Html {
  const locked = items.filter(({ accessRequired }) => accessRequired);
  if (lines.length === 0 || !modifiable || locked.length === 0) return html``;
  return html`<section class="card" aria-labelledby="locked">
<h2 id="locked">With an access code only</h2>
${locked.map(({ itemId, name, price }) => {
  const offer = html`<strong>${name} <span class="each">${formatMoney(price, currency)} each</span></strong>`;
  return accessCodes.length === 0
    ? html`<p class="line">${offer} Locked: enter your code first.</p>`
    : html`<form method="post" action="/basket/lines" class="line">
<input type="hidden" name="itemId" value="${itemId}">
${offer}
<button class="quiet">Add<span class="unseen"> ${name}</span></button>
</form>`;
})}
${accessCodes.map((code) => givenCode('access', code, code))}
${codeForm('access', 'Access code', 'STAGEDOOR')}
</section>`;
}

/** A code or card that the basket has, to be taken away. */
function givenCode(type: string, code: string, name: string): Html {
  return html`<form method="post" action="/basket/codes" class="line">
<input type="hidden" name="type" value="${type}"><input type="hidden" name="code" value="${code}">
<strong>${name}</strong>
<button class="quiet" name="remove" value="yes">Remove<span class="unseen"> ${name}</span></button>
</form>`;
}

function codeForm(type: string, label: string, example: string): Html {
  return html`<form method="post" action="/basket/codes" class="line">
<input type="hidden" name="type" value="${type}">
<label for="${type}">${label}</label>
<input id="${type}" name="code" required maxlength="64" autocomplete="off" autocapitalize="characters" spellcheck="false" aria-describedby="${type}-hint">
<button class="quiet">Apply<span class="unseen"> ${label}</span></button>
</form>
<p id="${type}-hint" class="hint">For example ${example}.</p>`;
}

function basketActions(basket: Basket, session: ShopSession): Html {
  if (basket.items.length === 0) return onward('/', 'Go to the home page');
  if (session.basket?.signInRequired && session.customerId !== (basket.customer?.id ?? null)) {
    return html`<section class="card" aria-labelledby="sign-in">
<h2 id="sign-in">Sign in to pay</h2>
<p>This basket belongs to a customer account${session.customerId === null ? null : ', and not to the one you are signed in with'}.</p>
${signInForm('/basket')}
</section>
<div class="actions">${leaveForm()}</div>`;
  }
  if (basket.status === 'checkout') {
    return html`<p>This basket is being paid.</p>
<div class="actions">
<form method="post" action="/basket/pay"><button>Continue to payment</button></form>
<form method="post" action="/pay/back"><button class="quiet">Stop paying</button></form>
</div>`;
  }
  return html`<div class="actions">
<form method="post" action="/basket/pay"><button>Pay</button></form>
${leaveForm()}
</div>`;
}

function leaveForm(): Html {
  return html`<form method="post" action="/basket/leave"><button class="quiet">Leave without buying</button></form>`;
}

function endedText({ status, statusReason, orderId }: Basket): { title: string; text: string; again: boolean } | null {
  if (status === 'completed') {
    return { title: 'This basket is paid', text: `Your order number is ${orderId ?? 'on its way'}.`, again: false };
  }
  if (status === 'expired' && statusReason === 'superseded') {
    return {
      title: 'A newer basket has taken this one’s place',
      text: 'You have opened another basket since. The tickets of this one are on sale again.',
      again: false,
    };
  }
  const code = status === 'cancelled' && statusReason === 'event_cancelled' ? 'event_cancelled' : `basket_${status}`;
  const text = status === 'expired' || status === 'cancelled' ? problemText(code) : null;
  if (text === null) return null;
  const again = code !== 'event_cancelled';
  return { title: text.heading, text: again ? text.happened : `${text.happened} ${text.next}`, again };
}

function lines({ items, totals, currency, status }: Basket): Html {
  const money = (amountMinor: number) => formatMoney(amountMinor, currency);
  const sum = (label: string, amountMinor: number) =>
    html`<tr><th scope="row">${label}</th><td>${money(amountMinor)}</td></tr>`;
  // A shop with prices that include the tax does not add it once more; the sums themselves say which kind it is.
  const taxIsInside = totals.tax > 0 && totals.total === totals.subtotal - totals.discount;
  const taxLabel = taxIsInside ? 'Tax, included' : 'Tax';
  return html`<table>
<caption class="unseen">What is in the basket, and what it costs</caption>
<thead><tr><th scope="col">Tickets</th><th scope="col">Price</th></tr></thead>
<tbody>${items.map(
    (line) =>
      html`<tr><th scope="row">${line.name} <span class="each">${line.quantity} × ${money(line.unitPrice)}</span></th><td>${money(line.subtotal)}</td></tr>`,
  )}</tbody>
<tfoot>
${sum('Subtotal', totals.subtotal)}
${totals.discount === 0 ? null : sum('Discount', -totals.discount)}
${sum(taxLabel, totals.tax)}
${totals.giftCards === 0 ? null : [sum('Total', totals.total), sum('Gift cards', -totals.giftCards)]}
<tr class="due"><th scope="row">${status === 'completed' ? 'Paid' : 'To pay'}</th><td>${money(totals.due)}</td></tr>
</tfoot>
</table>`;
}

/** The pretend payment page: it stands in for a payment provider and takes nothing. */
export function paymentPage(payment: Payment): Page {
  return {
    title: 'Payment',
    content: html`<div class="card ticket">
${paymentCountdown(payment)}
<p>Amount to pay</p>
<p class="amount">${formatMoney(payment.amountDueMinor, payment.currency)}</p>
</div>
<p>This is a demonstration: you choose how the payment ends, and no card is asked for.</p>
<div class="actions">
<form method="post" action="/pay"><button>Pay</button></form>
<form method="post" action="/pay/fail"><button class="quiet">Let the payment fail</button></form>
<form method="post" action="/pay/late"><button class="quiet">Let the money arrive too late</button></form>
<form method="post" action="/pay/back"><button class="quiet">Back to the basket</button></form>
</div>`,
    formsLeadOut: true,
    countsDown: true,
  };
}

function paymentCountdown({ leaseExpiresAt, endsAtMs }: Payment): Html {
  const warning = 'There is less than a minute left to pay.';
  const over = 'The time for paying is over. What you pay now counts only if your tickets are still to be had.';
  const secondsLeft = Math.max(0, (endsAtMs - Date.now()) / 1000);
  return countdown('Held for your payment until', leaseExpiresAt, secondsLeft, warning, over);
}

/** The pretend payment is on its way, and arrives when the time for it is over. */
export function latePaymentPage(payment: Payment): Page {
  return {
    title: 'Your payment is on its way',
    content: html`<div class="card ticket">
${paymentCountdown(payment)}
<p>This is a demonstration: the money arrives when that time is over. If your tickets are still to be had then, they are yours; else it goes back to you.</p>
</div>
<div class="actions">
<form method="post" action="/pay/late"${payment.endsAtMs > Date.now() ? html` data-when-over` : null}><button>Has it arrived?</button></form>
</div>`,
    formsLeadOut: true,
    countsDown: true,
  };
}

/** What a basket that was made anew has fewer of. `items` is what the shop sells. */
export function notAllLeftPage(unavailable: readonly Unavailable[], items: readonly Item[]): Page {
  return {
    title: 'Not all of it is left',
    content: html`<div class="card"><p class="lead">You have a new basket, with what is still to be had:</p>
<ul>${unavailable.map(({ itemId, requested, available }) => {
      const name = items.find((item) => item.itemId === itemId)?.name ?? itemId;
      return html`<li>${name}: ${available} instead of ${requested}</li>`;
    })}</ul></div>
${onward('/basket', 'Go to your basket')}`,
  };
}

/** The customer asked to pay a basket of an account that they are not signed in with. */
export function signInToPayPage(): Page {
  return {
    title: 'Sign in to pay',
    content: html`<div class="card"><p>This basket belongs to a customer account. Sign in with it, and you can pay.</p>
${signInForm('/basket')}</div>`,
  };
}

/** The order, looked up in the basket; `customerId` null for a guest. */
export function thankYouPage(orderId: string, customerId: string | null): Page {
  return {
    title: 'Thank you',
    content: html`<div class="card ticket">
<p class="lead">Your tickets are on their way to your e-mail.</p>
<dl>
<div><dt>Order number</dt><dd>${orderId}</dd></div>
${customerId === null ? null : html`<div><dt>Customer</dt><dd>${customerId}</dd></div>`}
</dl>
</div>
${onward('/', 'Go to the home page')}`,
  };
}

/** Somebody came with an order number that is not this browser's. */
export function unknownOrderPage(): Page {
  return {
    title: 'We cannot show this order',
    content: html`<div class="card"><p>This browser has no such order. If you have paid, your tickets are in your e-mail.</p></div>
${onward('/basket', 'Go to your basket')}`,
  };
}

/** The payment did not go through; the tickets are still held. */
export function paymentFailedPage(): Page {
  return {
    title: 'The payment did not go through',
    content: html`<div class="card"><p class="lead">Nothing was taken. Your tickets are still in your basket, but not for ever.</p></div>
${onward('/basket', 'Go to your basket')}`,
  };
}

/** What a refused link means, from the parameters of the redirect: both are shown only where they look like ours. */
export function linkProblemPage(error: string, basketId: string): Page {
  const code = /^[a-z_]{1,64}$/.test(error) ? error : 'unknown';
  const reference = /^bkt_[0-9a-z]{1,64}$/.test(basketId) ? basketId : null;
  const text = problemText(code) ?? {
    heading: 'Your basket could not be opened',
    happened: 'Something is in the way of it.',
    next: 'Open the link in your message once more, a little later.',
  };
  return {
    title: text.heading,
    content: html`${explanation(text.happened, text.next, code, reference)}
${onward('/', 'Go to the home page')}`,
  };
}

/** What the API refused, in the shop's words or, where it has none, in the API's public ones. */
export function apiProblemPage(problem: Problem): Page {
  const text = problemText(problem.code) ?? {
    heading: 'That did not work',
    happened: problem.detail,
    next: 'Go back to your basket and try again.',
  };
  return {
    title: text.heading,
    content: html`${explanation(text.happened, text.next, problem.code, problem.requestId || null)}
${onward('/basket', 'Go to your basket')}`,
  };
}

/** A request that the shop itself refused or failed to answer. */
export function shopProblemPage(title: string, text: string): Page {
  return {
    title,
    content: html`<div class="card"><p>${text}</p></div>
${onward('/', 'Go to the home page')}`,
  };
}

function explanation(happened: string, next: string, code: string, reference: string | null): Html {
  return html`<div class="card"><p class="lead">${happened}</p>
<p>${next}</p>
<p class="code">Code: <code>${code}</code>${reference === null ? null : html`<br>Reference: <code>${reference}</code>`}</p></div>`;
}

function onward(path: '/' | '/basket', label: string): Html {
  return html`<p><a class="button quiet" href="${path}">${label}</a></p>`;
}

function signInForm(next: '/' | '/basket'): Html {
  return html`<form method="post" action="/sign-in" class="stack">
<input type="hidden" name="next" value="${next}">
<label for="customer-id">Customer number</label>
<input id="customer-id" name="customerId" required maxlength="128" pattern="[A-Za-z0-9_.:\\-]+" autocomplete="username" autocapitalize="none" spellcheck="false" aria-describedby="customer-id-hint">
<p id="customer-id-hint" class="hint">Demo sign-in without a password: you are whoever you say you are, for example cus-7.</p>
<button>Sign in</button>
</form>`;
}
