import { Resolver } from 'node:dns/promises';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import t, { type Test } from 'tap';
import { isAllowedTarget, openOutbound } from '../../src/platform/outbound.ts';
import { selfSigned } from '../support/certificate.ts';
import { leadEverywhereTo, listen } from '../support/network.ts';

/** Addresses that are nobody's, everybody's or our own, each in the spellings that a URL may have for it. */
const special: Record<string, string[]> = {
  '0.0.0.0': ['0.0.0.0', '0', '0x0'],
  '127.0.0.1': ['127.0.0.1', '127.1', '2130706433', '0x7f.1', '0177.0.0.1', '①②⑦.⓪.⓪.①', '127。0。0。1', '127.0.0.1.'],
  '127.255.255.254': ['127.255.255.254', '0x7ffffffe'],
  '10.0.0.1': ['10.0.0.1', '10.1', '012.0.0.1'],
  '10.255.255.255': ['10.255.255.255'],
  '100.64.0.1': ['100.64.0.1'],
  '100.100.100.200': ['100.100.100.200'],
  '168.63.129.16': ['168.63.129.16', '0xa83f8110'],
  '169.254.169.254': ['169.254.169.254', '0xA9FEA9FE', '2852039166', '169.254.43518', '0251.0376.0251.0376'],
  '169.254.170.2': ['169.254.170.2'],
  '172.16.0.1': ['172.16.0.1', '172.1048577'],
  '172.31.255.255': ['172.31.255.255'],
  '192.0.0.192': ['192.0.0.192'],
  '192.0.2.1': ['192.0.2.1'],
  '192.31.196.1': ['192.31.196.1'],
  '192.52.193.1': ['192.52.193.1'],
  '192.88.99.1': ['192.88.99.1'],
  '192.168.1.1': ['192.168.1.1', '192.168.257'],
  '192.175.48.1': ['192.175.48.1'],
  '198.18.0.1': ['198.18.0.1'],
  '198.51.100.1': ['198.51.100.1'],
  '203.0.113.1': ['203.0.113.1'],
  '224.0.0.1': ['224.0.0.1'],
  '239.255.255.250': ['239.255.255.250'],
  '240.0.0.1': ['240.0.0.1'],
  '255.255.255.255': ['255.255.255.255', '4294967295'],
  '::': ['[::]', '[0:0:0:0:0:0:0:0]'],
  '::1': ['[::1]', '[0:0::0001]'],
  '::7f00:1': ['[::127.0.0.1]'],
  '::ffff:7f00:1': ['[::ffff:127.0.0.1]', '[::FFFF:7F00:1]'],
  '::ffff:a9fe:a9fe': ['[::ffff:169.254.169.254]'],
  '::ffff:808:808': ['[::ffff:8.8.8.8]'],
  '::ffff:0:7f00:1': ['[::ffff:0:127.0.0.1]'],
  '64:ff9b::7f00:1': ['[64:ff9b::127.0.0.1]'],
  '64:ff9b::a9fe:a9fe': ['[64:ff9b::169.254.169.254]'],
  '64:ff9b:1::a00:1': ['[64:ff9b:1::10.0.0.1]'],
  '100::1': ['[100::1]'],
  '100:0:0:1::1': ['[100:0:0:1::1]'],
  '2001:0:a9fe:a9fe::1': ['[2001:0:a9fe:a9fe::1]'],
  '2001:2::1': ['[2001:2::1]'],
  '2001:10::1': ['[2001:10::1]'],
  '2001:20::1': ['[2001:20::1]'],
  '2001:db8::1': ['[2001:db8::1]'],
  '2002:7f00:1::': ['[2002:7f00:1::]'],
  '2002:a9fe:a9fe::1': ['[2002:a9fe:a9fe::1]'],
  '2620:4f:8000::1': ['[2620:4f:8000::1]'],
  '3fff::1': ['[3fff::1]'],
  '4000::1': ['[4000::1]'],
  '5f00::1': ['[5f00::1]'],
  'fc00::1': ['[fc00::1]'],
  'fd00::1': ['[fd00::1]'],
  'fd00:ec2::254': ['[fd00:ec2::254]', '[FD00:0EC2:0::0254]'],
  'fd20:ce::254': ['[fd20:ce::254]'],
  'fe80::1': ['[fe80::1]'],
  'fec0::1': ['[fec0::1]'],
  'ff02::1': ['[ff02::1]'],
};
const specialAddresses = Object.keys(special);
/** Also those just beside a special range. */
const publicAddresses = [
  ...['8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '168.63.129.17', '172.15.255.255'],
  ...['172.32.0.0', '192.0.1.1', '198.17.255.255', '198.20.0.0', '223.255.255.255'],
  ...['2000::1', '2001:200::1', '2001:db7::1', '2003::1', '2606:4700:4700::1111', '3ffe:ffff::1'],
];
const notAllowed = { status: null, error: 'the address is not allowed' };

/**
 * A network that leads everywhere to one receiver, which answers over TLS as receiver.test, and what sends requests into
 * it: as in production, and where private addresses are allowed. The name server of both says what `addresses` are.
 */
async function openNetwork(t: Test, arriveAt?: (address: string) => string) {
  const network = { requests: 0, addresses: [] as string[], lookups: 0 };
  const answer: RequestListener = (_request, response) => {
    network.requests += 1;
    response.setHeader('connection', 'close').end();
  };
  const ports = {
    plain: await listen(t, createHttpServer(answer)),
    tls: await listen(t, createHttpsServer(selfSigned, answer)),
  };
  const { dialled } = leadEverywhereTo(t, ports, arriveAt);
  const open = (allowPrivate: boolean) => {
    const outbound = openOutbound({
      allowPrivate,
      resolve: async () => {
        network.lookups += 1;
        return network.addresses;
      },
    });
    t.teardown(() => outbound.close());
    return outbound;
  };
  return Object.assign(network, { dialled, guarded: open(false), unguarded: open(true) });
}

t.test('no special address is connected to, in whatever spelling a URL has it', async (t) => {
  const { dialled, guarded, unguarded } = await openNetwork(t);
  t.ok(specialAddresses.length >= 40);
  for (const [address, spellings] of Object.entries(special)) {
    for (const spelling of spellings) {
      const url = `https://${spelling}/`;
      t.equal(isAllowedTarget(new URL(url), false), false, url);
      t.strictSame(await guarded.request(url), notAllowed, url);
      t.strictSame(dialled.splice(0), [], url);
      t.match(await unguarded.request(url.replace('https:', 'http:')), { status: 200 }, `${url}, where it is allowed`);
      t.strictSame(dialled.splice(0), [address], url);
    }
  }
});

t.test('no name leads to a special address, neither alone nor beside a public one', async (t) => {
  const network = await openNetwork(t);
  const { dialled, guarded, unguarded } = network;
  const url = 'https://receiver.test/';
  t.equal(isAllowedTarget(new URL(url), false), true, 'the name alone tells nothing');
  for (const address of specialAddresses) {
    network.addresses = [address];
    t.strictSame(await guarded.request(url), notAllowed, address);
    t.strictSame(dialled.splice(0), [], address);
    t.match(await unguarded.request(url), { status: 200 }, `${address}, where it is allowed`);
    t.strictSame(dialled.splice(0), [address]);
    network.addresses = [address, '8.8.8.8'];
    t.match(await guarded.request(url), { status: 200 }, address);
    t.strictSame(dialled.splice(0), ['8.8.8.8'], address);
  }
});

t.test('a name has the addresses that DNS gives it, by either version of IP', async (t) => {
  const { dialled } = await openNetwork(t);
  const outbound = openOutbound({ allowPrivate: false });
  t.teardown(() => outbound.close());
  const { resolve4, resolve6 } = Resolver.prototype;
  t.teardown(() => Object.assign(Resolver.prototype, { resolve4, resolve6 }));
  const answers = (addresses: string[]) => async () =>
    addresses.length > 0 ? addresses : Promise.reject(Object.assign(new Error('none'), { code: 'ENODATA' }));
  for (const [v4, v6, expected, allowed] of [
    [['8.8.8.8'], [], { status: 200 }, ['8.8.8.8']],
    [[], ['2606:4700:4700::1111'], { status: 200 }, ['2606:4700:4700::1111']],
    [['8.8.8.8', '10.0.0.1'], ['::1', '2003::1'], { status: 200 }, ['8.8.8.8', '2003::1']],
    [['10.0.0.1'], ['fd00:ec2::254'], notAllowed, []],
    [[], [], { status: null, error: 'the name has no address' }, []],
  ] as const) {
    Object.assign(Resolver.prototype, { resolve4: answers([...v4]), resolve6: answers([...v6]) });
    t.match(await outbound.request('https://receiver.test/'), expected);
    t.strictSame(dialled.splice(0), allowed);
  }
});

t.test('public addresses are connected to, by number and by name', async (t) => {
  const network = await openNetwork(t);
  for (const address of publicAddresses) {
    network.addresses = [address];
    t.match(await network.guarded.request('https://receiver.test/'), { status: 200 }, address);
    const url = `https://${address.includes(':') ? `[${address}]` : address}/`;
    // The receiver cannot prove that it is at this address, but it has been asked to.
    t.match(await network.guarded.request(url), { error: 'the connection failed (ERR_TLS_CERT_ALTNAME_INVALID)' }, url);
    t.strictSame(network.dialled.splice(0), [address, address]);
  }
});

t.test('a name is connected to where it was checked, whatever it means a moment later', async (t) => {
  const network = await openNetwork(t);
  network.addresses = ['8.8.8.8'];
  t.match(await network.guarded.request('https://receiver.test/'), { status: 200 });
  t.equal(network.lookups, 1, 'nothing is looked up between the check and the connection');
  network.addresses = ['127.0.0.1'];
  t.strictSame(await network.guarded.request('https://receiver.test/'), notAllowed, 'the next one is checked again');
  t.strictSame(network.dialled, ['8.8.8.8']);
});

t.test('nothing is sent over a socket that has ended up at a special address', async (t) => {
  for (const address of [...specialAddresses, '8.8.8.8']) {
    await t.test(address, async (t) => {
      const network = await openNetwork(t, () => address);
      network.addresses = ['8.8.4.4'];
      const isSpecial = address !== '8.8.8.8';
      const answer = await network.guarded.request('https://receiver.test/');
      t.match(answer, isSpecial ? notAllowed : { status: 200 });
      t.strictSame(network.dialled, ['8.8.4.4']);
      t.equal(network.requests, isSpecial ? 0 : 1);
    });
  }
});

t.test('what is no target is seen in the URL alone', async (t) => {
  const host = 'receiver.example';
  const refused = [
    ...[`http://${host}/`, `ftp://${host}/`, `https://user@${host}/`, `https://:password@${host}/`],
    ...['localhost', 'localhost.', 'LOCALHOST', 'a.localhost', 'redis', 'db.internal', 'printer.local', 'nas.home.arpa']
      .concat('metadata.google.internal', 'metadata.google.internal.', 'metadata.goog')
      .map((name) => `https://${name}/`),
    ...[1, 22, 25, 81, 1023, 1433, 3306, 5432, 6379, 9200, 11211, 27017].map((port) => `https://${host}:${port}/`),
  ];
  const { dialled, guarded } = await openNetwork(t);
  for (const url of refused) {
    t.equal(isAllowedTarget(new URL(url), false), false, url);
    t.strictSame(await guarded.request(url), notAllowed, url);
  }
  t.strictSame(dialled, []);
  for (const rest of ['', ':443', ':80', ':1024', ':8443', ':65535', '/hook?token=1#part']) {
    t.equal(isAllowedTarget(new URL(`https://${host}${rest}`), false), true, rest);
  }
  for (const name of ['localhost.example', 'internal.example', 'local.example', 'xn--nxasmq6b.example']) {
    t.equal(isAllowedTarget(new URL(`https://${name}/`), false), true, name);
  }
  t.equal(isAllowedTarget(new URL('http://redis:6379/'), true), true, 'where private addresses are allowed');
  t.equal(isAllowedTarget(new URL('https://user@redis/'), true), false, 'credentials stay out');
  t.equal(isAllowedTarget(new URL('file:///etc/passwd'), true), false, 'so do other schemes');
});
