import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Test } from 'tap';

/**
 * What the proxy does with what comes from the server behind it: passes it on, keeps it back until it passes again, or
 * closes the connection in its place, so that a reply is lost after the request was served.
 */
type Replies = 'pass' | 'hang' | 'cut';

/**
 * Starts a proxy in front of a TCP server, for one test, on any port unless one is given. `url` is the server's with the
 * proxy's address in it.
 */
export async function startTcpProxy(t: Test, serverUrl: string, port = 0) {
  const target = new URL(serverUrl);
  let replies: Replies = 'pass';
  let isLastOf = (_request: Buffer) => false;
  const keptBack: (() => void)[] = [];
  const sockets = new Set<Socket>();

  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('close', () => other.destroy());
      // A connection that breaks is closed, and closing is passed on.
      socket.on('error', () => {});
    }
    let isLast = false;
    client.on('data', (bytes) => {
      isLast ||= isLastOf(bytes);
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (isLast) client.destroy();
      else if (replies === 'pass') client.write(bytes);
      else if (replies === 'hang') keptBack.push(() => client.write(bytes));
      else client.destroy();
    });
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });

  const url = new URL(serverUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    setReplies(next: Replies): void {
      replies = next;
      if (next === 'pass') for (const send of keptBack.splice(0)) send();
    },
    /** Passes requests on, but closes the connection in place of the reply to those that `isCut` picks. */
    cutRepliesTo(isCut: (request: Buffer) => boolean): void {
      isLastOf = isCut;
    },
  };
}
