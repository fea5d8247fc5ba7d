import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { type AddressInfo, isIP, type LookupFunction, type Server, Socket } from 'node:net';
import tls, { TLSSocket } from 'node:tls';
import type { Test } from 'tap';
import { selfSigned } from './certificate.ts';

type ConnectOptions = { host: string; lookup: LookupFunction };

/** Listens on a free port of loopback until the test ends, then breaks what is still connected. Gives the port. */
export async function listen(t: Test, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // Whoever is connected may leave at any time.
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/**
 * Puts this process into a network in which every address is that of one machine, and every port one of `ports`, until the
 * test ends. `receiver.test` is trusted there. `dialled` are the addresses in the order in which they were connected to;
 * `arriveAt` says where a connection to an address ends up, which its socket then shows.
 */
export function leadEverywhereTo(
  t: Test,
  ports: { plain: number; tls: number },
  arriveAt = (address: string): string => address,
): { dialled: string[] } {
  const dialled: string[] = [];
  const { connect } = Socket.prototype;
  const { createSecureContext } = tls;
  t.teardown(() => {
    Socket.prototype.connect = connect;
    tls.createSecureContext = createSecureContext;
  });
  tls.createSecureContext = (options) => createSecureContext({ ...options, ca: selfSigned.cert });
  function connectHere(this: Socket, ...given: unknown[]): Socket {
    // Node hands on arguments that it has looked at as one list.
    const [{ host, lookup }, callback] = (Array.isArray(given[0]) ? given[0] : given) as [ConnectOptions, () => void];
    const dial = (addresses: readonly string[]) => {
      dialled.push(...addresses);
      Object.defineProperty(this, 'remoteAddress', { value: arriveAt(addresses[0] ?? '') });
      const port = this instanceof TLSSocket ? ports.tls : ports.plain;
      Reflect.apply(connect, this, [{ host: '127.0.0.1', port }, callback]);
    };
    if (isIP(host) > 0) dial([host]);
    else {
      lookup(host, { all: true }, (error, addresses) => {
        if (error) this.destroy(error);
        else dial((addresses as LookupAddress[]).map(({ address }) => address));
      });
    }
    return this;
  }
  Socket.prototype.connect = connectHere as typeof connect;
  return { dialled };
}
