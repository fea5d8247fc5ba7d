export { changeRoutes, wakeAfterChanges } from './changes/routes.ts';
export { announceBaskets, announceEventCancelled } from './outbox.ts';
export { startRelay } from './relay/relay.ts';
export { webhookRoutes } from './routes.ts';
export { resealWebhookSecrets } from './secrets.ts';
