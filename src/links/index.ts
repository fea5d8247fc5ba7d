export { type ClickedEvent, linkChecks, logsIn, outerExpiry } from './click.ts';
export { startLinkOf } from './mint.ts';
export { linkRoutes } from './routes.ts';
export { startLinkPurpose } from './token.ts';
