export { changeItems, changeItemsIn } from './changes.ts';
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
export {
  type Availability,
  type Item,
  ItemBody,
  type Pool,
  type SellableItem,
  type ShopEvent,
  type StockKeeper,
  toItemAnswer,
  type WrittenItem,
} from './model.ts';
export { catalogueRoutes } from './routes.ts';
export {
  eventsToEnd,
  findItemOfPackage,
  freePackageIds,
  type ItemCache,
  listEvents,
  listPackages,
  listPools,
  markBasketsEnded,
  openItemCache,
  type PackageItem,
  readEvents,
  readItems,
  readSellable,
} from './store.ts';
