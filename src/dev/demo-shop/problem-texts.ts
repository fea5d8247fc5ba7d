/** What a customer is told: what happened, and what they can do now. */
type ProblemText = { heading: string; happened: string; next: string };

const NEW_LINK = 'Ask whoever sent you the link for a new one.';
const OPEN_AGAIN = 'Open the link in your message once more.';
const REFUND = 'If money was taken, it goes back to you in full. You need not do anything.';

const UNREACHABLE = {
  heading: 'We cannot reach our tickets',
  happened: 'The part of our shop that keeps the tickets does not answer.',
  next: 'Wait a moment and try again. If you were paying: trying again never pays twice.',
};

const TEXTS: Readonly<Record<string, ProblemText>> = {
  // Refusals of a start link or of its confirmation, as they arrive at /basket/problem.
  link_invalid: {
    heading: 'This link does not work',
    happened: 'The link is incomplete or has been changed on its way to you.',
    next: 'Copy the whole link from your message, without spaces or line breaks. If that does not help, ask for a new one.',
  },
  link_expired: {
    heading: 'This link is too old',
    happened: 'Links to a basket work for a limited time, and the time of this one is over.',
    next: NEW_LINK,
  },
  link_revoked: {
    heading: 'This link was withdrawn',
    happened: 'A newer link has taken its place, or the sender has taken it back.',
    next: 'Look for a newer message. If there is none, ask whoever sent you the link for a new one.',
  },
  link_used: {
    heading: 'This basket is already paid',
    happened: 'The order behind this link is complete.',
    next: 'Look for your tickets in your e-mail. There is nothing left to pay.',
  },
  basket_expired: {
    heading: 'Your basket has run out of time',
    happened: 'The tickets were held for you for a while and are now on sale again.',
    next: NEW_LINK,
  },
  basket_cancelled: {
    heading: 'This basket was cancelled',
    happened: 'The tickets in it are on sale again. Nothing was paid.',
    next: 'If you still want to come, ask whoever sent you the link for a new one.',
  },
  event_cancelled: {
    heading: 'This event is cancelled',
    happened: 'We are sorry: it will not take place, and tickets for it are no longer sold.',
    next: REFUND,
  },
  event_suspended: {
    heading: 'Sales are paused',
    happened: 'Tickets for this event are not being sold at the moment.',
    next: `Try again later. ${OPEN_AGAIN}`,
  },
  confirmation_expired: {
    heading: 'That took a little too long',
    happened: 'There was more than a minute between your click and our shop. Your tickets are not lost.',
    next: OPEN_AGAIN,
  },
  confirmation_used: {
    heading: 'This click was already used',
    happened: 'Each click on the link opens the basket once, in one browser. Your tickets are not lost.',
    next: OPEN_AGAIN,
  },
  customer_context_only: {
    heading: 'Not at the box office',
    happened: 'Links to a basket are for customers. This browser works at the box office.',
    next: 'Leave the box office on the home page, then open the link once more.',
  },
  customer_mismatch: {
    heading: 'This basket is for another customer',
    happened: 'You are signed in as somebody else.',
    next: `Sign in as that customer, or sign out, on the home page. ${OPEN_AGAIN}`,
  },
  sale_not_open: {
    heading: 'Not on sale yet',
    happened: 'Tickets for this event will be sold later.',
    next: `Wait until then. ${OPEN_AGAIN}`,
  },
  sale_closed: {
    heading: 'The sale is over',
    happened: 'Tickets for this event are not sold any more.',
    next: 'Look on the home page for other events.',
  },
  insufficient_stock: {
    heading: 'Somebody was faster',
    happened: 'There are not enough tickets left for all that was asked for, so nothing has changed.',
    next: 'Take fewer, or try again later: places come back when other baskets end.',
  },

  // Refusals of what is done in the shop.
  session_superseded: {
    heading: 'Your basket is open somewhere else',
    happened:
      'The link was opened again after this, in another window or on another device. The basket lives there now.',
    next: 'Go on there. To have it here, open the link in your message once more.',
  },
  basket_not_live: {
    heading: 'This basket has ended',
    happened: 'It was changed before we could do what you asked.',
    next: 'Go to your basket to see what became of it.',
  },
  extension_limit: {
    heading: 'Your tickets cannot be held any longer',
    happened: 'You have had all the time that there is for this basket.',
    next: 'Go to your basket and pay before its time is over.',
  },
  quantity_limit: {
    heading: 'That is too many',
    happened: 'There is a limit to how many of these one basket may hold, so nothing has changed.',
    next: 'Go to your basket and take fewer.',
  },
  access_code_required: {
    heading: 'This needs an access code',
    happened: 'What you asked for is sold with an access code only, so nothing has changed.',
    next: 'Go to your basket: enter the code for it there, or take out what needs it before you remove the code.',
  },
  code_unknown: {
    heading: 'We do not know this code',
    happened: 'There is no such code, or no gift card with this number that has money for this basket.',
    next: 'Check the spelling; small and capital letters are the same.',
  },
  code_expired: {
    heading: 'This code is too old',
    happened: 'The time in which this code could be used is over.',
    next: 'Your basket is as it was.',
  },
  code_exhausted: {
    heading: 'This code is used up',
    happened: 'Others have used this code as often as it may be used.',
    next: 'Your basket is as it was. Some uses may come back when other baskets end.',
  },
  code_not_applicable: {
    heading: 'This code does not fit your basket',
    happened: 'It is for other tickets, or for larger baskets.',
    next: 'Your basket is as it was.',
  },
  code_attempts: {
    heading: 'That were too many codes',
    happened: 'So many codes have not worked that we take no more for a while.',
    next: 'You can pay without one, or try again later.',
  },
  not_modifiable: {
    heading: 'This cannot be changed',
    happened: 'Whoever sent you the link has chosen this for you.',
    next: 'Ask them for another basket if it is not what you want.',
  },
  basket_in_checkout: {
    heading: 'This basket is being paid',
    happened: 'While it is being paid, nothing in it can change.',
    next: 'Go to your basket to continue the payment or to stop it.',
  },
  basket_empty: {
    heading: 'There is nothing to pay',
    happened: 'This basket is empty.',
    next: NEW_LINK,
  },
  username_required: {
    heading: 'We need to know who this is for',
    happened: 'This shop asks for a user name before anything can be paid.',
    next: NEW_LINK,
  },
  idempotency_in_progress: {
    heading: 'Your payment is being worked on',
    happened: 'You have pressed the button before, and we are not done yet.',
    next: 'Wait a few seconds, then look at your basket. You pay only once.',
  },
  already_completed: {
    heading: 'This basket is already paid',
    happened: 'Another payment was there first.',
    next: REFUND,
  },
  lease_superseded: {
    heading: 'The basket has changed',
    happened: 'It is no longer what you were about to pay for, so we have not taken this payment.',
    next: `Look at your basket and pay again. ${REFUND}`,
  },
  amount_mismatch: {
    heading: 'The amount has changed',
    happened: 'It is no longer what you were about to pay, so we have not taken this payment.',
    next: `Look at your basket and pay again. ${REFUND}`,
  },
  expired_stock_gone: {
    heading: 'The tickets are gone',
    happened: 'The payment reached us after your time was over, and the tickets have been sold to others.',
    next: REFUND,
  },
  unreachable: UNREACHABLE,
  unusable_answer: UNREACHABLE,
};

/** The text for a problem code of the API, or null for a code that this shop has no words for. */
export function problemText(code: string): ProblemText | null {
  return Object.hasOwn(TEXTS, code) ? (TEXTS[code] ?? null) : null;
}
