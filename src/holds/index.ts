export { type Admission, openAdmission } from './admission.ts';
export { endBasketsOfCancelledEvents, endBasketsOfEvent } from './events.ts';
export {
  type BasketRow,
  type BasketStatus,
  type Creation,
  type CreationOutcome,
  liveStatuses,
  type StockTake,
  takesOf,
} from './model.ts';
export { type CommitCreation, openCommitQueue } from './queue.ts';
export { changeHold, moveStock, stockKeeper } from './stock.ts';
export { startSweeper } from './sweeper.ts';
