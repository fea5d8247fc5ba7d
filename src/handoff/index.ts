export { handoffRoutes } from './routes.ts';
export { confirmationPurpose, readSession, sessionPurpose, writeConfirmation } from './tokens.ts';
