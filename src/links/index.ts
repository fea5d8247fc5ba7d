export { type ClickedEvent, linkChecks, logsIn, outerExpiry } from './click.ts';
export { type Inspected, inspectStartLink } from './inspect.ts';
export { openLaravelKeys } from './laravel.ts';
export { linkMetrics } from './metrics.ts';
export { linkKidOf, startLinkOf } from './mint.ts';
export { linkRoutes } from './routes.ts';
export { startLinkPurpose } from './token.ts';
