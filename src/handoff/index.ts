export { openRedemptionQueue } from './redeem.ts';
export { handoffRoutes } from './routes.ts';
export { pruneSpent } from './store.ts';
export { confirmationPurpose, readSession, sessionOf, sessionPurpose, writeConfirmation } from './tokens.ts';
