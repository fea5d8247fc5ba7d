export { changeRoutes } from './changes/routes.ts';
export { announceBaskets, announceEventCancelled } from './outbox.ts';
export { webhookRoutes } from './routes.ts';
export { resealWebhookSecrets } from './secrets.ts';
