import type { Socket } from 'node:net';

/**
 * Has a socket send what is written to it in one turn of the event loop together: many requests that are handled in one
 * turn, or the statements of a transaction, cost one system call and not one each.
 */
export function gatherWrites(socket: Socket): void {
  const write = socket.write.bind(socket);
  let gathering = false;
  const writeLater = (...written: Parameters<typeof write>) => {
    if (!gathering) {
      gathering = true;
      socket.cork();
      setImmediate(() => {
        gathering = false;
        socket.uncork();
      });
    }
    return write(...written);
  };
  socket.write = writeLater as typeof socket.write;
}
