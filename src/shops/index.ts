export { apiKeyRoutes } from './api-keys/routes.ts';
export { openApiKeyVerifier } from './api-keys/verify.ts';
export { resealLaravelKeys } from './laravel-keys.ts';
export { type LaravelKeys, laravelParameters, type Shop, ShopSettings, toShopAnswer } from './model.ts';
export { shopRoutes } from './routes.ts';
export { isLocale, mergePatch } from './rules.ts';
export { listShopIds, openShopCache, readShop, type ShopCache } from './store.ts';
export { allowedRedirectUrl, frontendOrigins, withParameters } from './urls.ts';
export { writeShop } from './write.ts';
