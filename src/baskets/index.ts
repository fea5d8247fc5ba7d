export { type Activation, isSoldOut, takeWhatItWaitsFor } from './activation.ts';
export { applyCode, removeCode } from './apply.ts';
export { appliedOf, giveBackToCards, spendCards, totalsOfBasket } from './cards.ts';
export {
  type Answered,
  type BasketCaller,
  type Change,
  type Changed,
  type Conditions,
  changeAndSettle,
  changeBasket,
  frozen,
  holdOf,
  linkStateOf,
  notLive,
  refusalsOfPaid,
  saveSuperseded,
  supersedable,
  supersede,
} from './change.ts';
export { sameCode, unlockedBy } from './codes.ts';
export { createBasket } from './create.ts';
export { customerRoutes } from './customers/routes.ts';
export { editBasket } from './edit.ts';
export { type LineEdit, sameLines } from './lines.ts';
export { maskAccount, maskEmail } from './masking.ts';
export {
  asOf,
  type Basket,
  BasketAnswer,
  isLive,
  LineBody,
  PatchableBasket,
  RevenueShare,
  type WrittenLine,
} from './model.ts';
export { type OpeningCounter, startOpeningCounter } from './openings.ts';
export { countOutOfDateLinks, raiseEpoch } from './restored/store.ts';
export { pruneBaskets } from './retention/prune.ts';
export {
  answerChange,
  type BasketRouteDeps,
  basketExists,
  basketHeaders,
  basketParams,
  basketRefusals,
  basketRoutes,
} from './routes.ts';
export { checkCustom } from './rules.ts';
export {
  liveBasketIdsOf,
  lockBaskets,
  lockCustomer,
  lockLoneCustomers,
  noteRefusedCompletion,
  type OpenerKind,
  readBasket,
  readLeased,
  readSnapshot,
  saveBasket,
  saveBaskets,
} from './store.ts';
export { type ChangeRequest, type Free, openChangeQueue } from './together.ts';
export { showBasket, showSnapshot } from './view.ts';
