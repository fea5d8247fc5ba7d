import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';

/** Everything comes from our own origin, and what the page tries out goes there. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  // The icons of its stylesheet.
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

/**
 * Serves `/docs`: every call and field of {@link openApi}'s document, to read and to try with a token of one's own. It
 * loads nothing from elsewhere. Registered after the document.
 */
export async function docsPage(app: FastifyInstance): Promise<void> {
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: contentSecurityPolicy,
    theme: { title: 'basketlink: the API' },
    // A token that somebody tries calls with is gone with the page.
    uiConfig: { layout: 'BaseLayout', docExpansion: 'list', defaultModelsExpandDepth: 0, persistAuthorization: false },
  });
  // Of the two addresses of the page, with and without a slash, Fastify tells hooks of the first only.
  app.methodsByUrl.get('/docs/')?.add('GET');
}
