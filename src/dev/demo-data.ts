/** Sets the demo shop up through the public API, as a shop owner would. Running it again changes nothing. */
export async function setUpDemoShop(apiUrl: string, token: string, shopId: string, shopUrl: string): Promise<void> {
  const put = (path: string, body: unknown) => call('PUT', `${apiUrl}${path}`, token, body);
  await put(`/v1/shops/${shopId}`, {
    name: 'Roxy',
    currency: 'GBP',
    locale: 'en-GB',
    supportUrl: `${shopUrl}/`,
    frontend: {
      confirmUrl: `${shopUrl}/basket/confirm`,
      basketUrl: `${shopUrl}/basket`,
      errorUrl: `${shopUrl}/basket/problem`,
    },
    allowedRedirectOrigins: [shopUrl],
    tebex: { enabled: true },
  });
  await put('/v1/events/midsummer', {
    name: 'A Midsummer Night’s Dream',
    startsAt: `${new Date().getUTCFullYear() + 1}-06-21T18:30:00.000Z`,
  });
  await put('/v1/pools/circle', { name: 'Dress circle', capacity: 40 });
  await put('/v1/items', {
    items: [
      {
        itemId: 'stalls',
        name: 'Stalls',
        eventId: 'midsummer',
        price: 2500,
        taxRate: 0.2,
        capacity: 100,
        maxPerBasket: 8,
        packageId: 101,
      },
      {
        itemId: 'circle-adult',
        name: 'Dress circle, adult',
        eventId: 'midsummer',
        price: 3800,
        taxRate: 0.2,
        poolId: 'circle',
      },
      {
        itemId: 'circle-child',
        name: 'Dress circle, child',
        eventId: 'midsummer',
        price: 1900,
        taxRate: 0.2,
        poolId: 'circle',
      },
      { itemId: 'programme', name: 'Programme', price: 600, packageId: 102 },
      {
        itemId: 'backstage',
        name: 'Backstage tour',
        eventId: 'midsummer',
        price: 1500,
        taxRate: 0.2,
        capacity: 12,
        maxPerBasket: 2,
        accessRequired: true,
      },
    ],
  });
  await put('/v1/discount-codes/MIDSUMMER10', { type: 'percent', value: 1000 });
  await put('/v1/access-codes/STAGEDOOR', { itemIds: ['backstage'] });
  await put('/v1/gift-cards/ROXY2026GIFT', { balance: 2000, currency: 'GBP' });
}

/** Makes a basket as a partner's back end would, and gives its start link. */
export async function createDemoBasket(apiUrl: string, token: string, shopUrl: string): Promise<string> {
  const basket = await call('POST', `${apiUrl}/v1/baskets`, token, {
    items: [
      { itemId: 'stalls', quantity: 2 },
      { itemId: 'programme', quantity: 1 },
    ],
    customer: { id: `cus-${Date.now()}`, email: 'anna@customer.example', name: 'Anna' },
    successRedirectUrl: `${shopUrl}/thank-you`,
    failureRedirectUrl: `${shopUrl}/payment-failed`,
  });
  if (typeof basket !== 'object' || basket === null || !('startBasketUrl' in basket)) {
    throw new Error('the demo basket has no start link');
  }
  return String(basket.startBasketUrl);
}

async function call(method: string, url: string, token: string, body: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
  return response.json();
}
