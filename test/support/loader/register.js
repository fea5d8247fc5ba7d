import { register } from 'node:module';

// Tap starts each test file with this (.taprc).
process.setSourceMapsEnabled(true);
register('./load.js', import.meta.url);
