export { type Admission, openAdmission, type SettledHold } from './admission.ts';
export { expireListed } from './arbiter.ts';
export { startCatchUp } from './catch-up.ts';
export { adoptEpoch, checkEpoch, type KeeperDeps } from './epoch.ts';
export { endBasketsOfCancelledEvents, endBasketsOfEvent } from './events.ts';
export { type Keeper, startKeeper } from './keeper.ts';
export { type HoldMetrics, holdMetrics } from './metrics.ts';
export {
  type BasketRow,
  type BasketStatus,
  type Creation,
  type CreationOutcome,
  heldBy,
  type LinkState,
  liveStatuses,
  type StockLimit,
  type StockTake,
  takesOf,
} from './model.ts';
export { type CommitCreation, openCommitQueue } from './queue.ts';
export { compareHolds, compareRows, reconcile } from './reconcile.ts';
export {
  addCapacity,
  changeHold,
  findShort,
  lockStock,
  moveStock,
  readAvailable,
  stockKeeper,
} from './stock.ts';
export { forgetRedis } from './store.ts';
export { startSweeper } from './sweeper.ts';
