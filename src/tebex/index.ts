export { authorizationRoutes } from './authorization/routes.ts';
export { statePurpose } from './authorization/state.ts';
export { openListingCache } from './catalogue/listing.ts';
export { eraseDynamicPackages, removeDynamicPackages } from './dynamic/store.ts';
export { identPurpose, paymentPurpose } from './ident.ts';
export { tebexRoutes } from './routes.ts';
