export {
  type CodeType,
  type CodeWithTerms,
  customerLimitOf,
  folded,
  type ShopCode,
  stockIdOfCode,
} from './codes/model.ts';
export { readCodes } from './codes/store.ts';
export { type GiftCard, plainNumber, stockIdOfCard } from './gift-cards/model.ts';
export { addEntries, findCard, readGivenBack } from './gift-cards/store.ts';
export type { Availability, SellableItem, StockKeeper } from './model.ts';
export { catalogueRoutes } from './routes.ts';
export { eventsToEnd, type ItemCache, markBasketsEnded, openItemCache, readEvents, readSellable } from './store.ts';
