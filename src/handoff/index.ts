export { handoffRoutes } from './routes.ts';
export { confirmationPurpose, readSession, sessionOf, sessionPurpose, writeConfirmation } from './tokens.ts';
