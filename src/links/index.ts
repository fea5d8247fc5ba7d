export { type ClickedEvent, linkChecks, logsIn, outerExpiry } from './click.ts';
export { linkRoutes } from './routes.ts';
export { startLinkPurpose, writeStartToken } from './token.ts';
