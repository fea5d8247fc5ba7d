export { openCompletionQueue } from './complete.ts';
export { orderRoutes } from './routes.ts';
