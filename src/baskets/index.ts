export { type Activation, isSoldOut, takeWhatItWaitsFor } from './activation.ts';
export { giveBackToCards, spendCards, totalsOfBasket } from './cards.ts';
export {
  type Answered,
  type BasketCaller,
  type Change,
  type Changed,
  type Conditions,
  changeBasket,
  holdOf,
  notLive,
  refusalsOfPaid,
  saveSuperseded,
  supersedable,
  supersede,
  takesOfBasket,
} from './change.ts';
export { sameCode } from './codes.ts';
export { customerRoutes } from './customers/routes.ts';
export { sameLines } from './lines.ts';
export { maskAccount, maskEmail } from './masking.ts';
export { asOf, type Basket, BasketAnswer, isLive } from './model.ts';
export { type OpeningCounter, startOpeningCounter } from './openings.ts';
export {
  answerChange,
  basketExists,
  basketHeaders,
  basketParams,
  basketRefusals,
  basketRoutes,
} from './routes.ts';
export {
  liveBasketIdsOf,
  lockBaskets,
  lockCustomer,
  noteRefusedCompletion,
  type OpenerKind,
  readBasket,
  readLeased,
  readSnapshot,
  saveBasket,
} from './store.ts';
export { showBasket, showSnapshot } from './view.ts';
