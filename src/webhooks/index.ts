export { announceBaskets, announceEventCancelled } from './outbox.ts';
