export type { Availability, SellableItem, StockKeeper } from './model.ts';
export { catalogueRoutes } from './routes.ts';
export { eventsToEnd, type ItemCache, markBasketsEnded, openItemCache, readEvents, readSellable } from './store.ts';
