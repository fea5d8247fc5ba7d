export { changeRoutes, wakeAfterChanges } from './changes/routes.ts';
export { completedPayment, giftVariables, tebexShare, tebexTime } from './delivery/tebex.ts';
export { announceBaskets, announceEventCancelled, owedToNobody } from './outbox.ts';
export { startRelay } from './relay/relay.ts';
export { goOnAfterRestore } from './restored/store.ts';
export { webhookRoutes } from './routes.ts';
export { changesKeptDays } from './rules.ts';
export { resealWebhookSecrets } from './secrets.ts';
