import { connect } from 'node:net';

const patienceMs = 5000;

/**
 * Sends bytes to a service as they are, for what no HTTP client would send, and gives what came back by the time that
 * the service closed the connection. `closed` is false when it still had not after 5 s. With `thenLeave` this end says
 * that nothing more will come.
 */
export function sendRaw(
  serviceUrl: string,
  bytes: string,
  { thenLeave = false } = {},
): Promise<{ status: number; head: string; body: string; closed: boolean }> {
  const { hostname, port } = new URL(serviceUrl);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let received = '';
    const finish = (closed: boolean) => {
      clearTimeout(patience);
      socket.destroy();
      const [head = '', body = ''] = received.split('\r\n\r\n');
      resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0), head, body, closed });
    };
    const patience = setTimeout(() => finish(false), patienceMs);
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      received += text;
    });
    // A service that stops reading closes its end: what it said before that has been received.
    socket.on('error', () => finish(true));
    socket.on('close', () => finish(true));
    if (thenLeave) socket.end(bytes, 'latin1');
    else socket.write(bytes, 'latin1');
  });
}
