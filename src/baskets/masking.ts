/**
 * The account as a page may show it to whoever holds the link: the masked e-mail address ("a…@b.example"), else the
 * masked user name ("J…"), else null. Neither the customer's name nor the id is ever shown.
 */
export function maskAccount(customer: { email?: string | null; username?: string | null }): string | null {
  if (customer.email) return maskEmail(customer.email);
  if (customer.username) return maskName(customer.username);
  return null;
}

/** Masks an e-mail address: first character and domain, "a…@b.example". Text without `@` keeps its first character only. */
export function maskEmail(email: string): string {
  // The last @ divides: a quoted local part may hold one, and what follows it there is not the domain.
  const at = email.lastIndexOf('@');
  return at === -1 ? maskName(email) : maskName(email.slice(0, at)) + email.slice(at);
}

function maskName(name: string): string {
  const [first = ''] = name;
  return `${first}…`;
}
