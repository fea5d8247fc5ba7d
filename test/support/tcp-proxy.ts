import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';

/**
 * What the proxy does with what comes from the server behind it: passes it on, keeps it back until it passes again,
 * closes the connection in its place, so that a reply is lost after the request was served, or passes it on in small
 * pieces, each 50 to 500 ms after the one before.
 */
type Replies = 'pass' | 'hang' | 'cut' | 'slow';

/**
 * Starts a proxy in front of a TCP server, for one test, on any port unless one is given. `url` is the server's with the
 * proxy's address in it.
 */
export async function startTcpProxy(t: Test, serverUrl: string, port = 0) {
  let target = new URL(serverUrl);
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
    let slowly = Promise.resolve();
    upstream.on('data', (bytes: Buffer) => {
      if (isLast) client.destroy();
      else if (replies === 'pass') client.write(bytes);
      else if (replies === 'slow') slowly = slowly.then(() => writeSlowly(client, bytes));
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
    /** Connects what comes next to another server, and breaks the connections that there are. */
    setTarget(nextUrl: string): void {
      target = new URL(nextUrl);
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
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

const pieceBytes = 8;

async function writeSlowly(client: Socket, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length && !client.destroyed; at += pieceBytes) {
    await delay(50 + Math.random() * 450);
    client.write(bytes.subarray(at, at + pieceBytes));
  }
}
