/** What was looked at, and how it is. `mend` says what to do; a warning does not fail. Neither shows a secret. */
export type Finding = { state: 'ok' | 'warning' | 'broken'; says: string; mend?: string };

export const ok = (says: string): Finding => ({ state: 'ok', says });
export const warning = (says: string, mend: string): Finding => ({ state: 'warning', says, mend });
export const broken = (says: string, mend?: string): Finding => ({
  state: 'broken',
  says,
  ...(mend === undefined ? {} : { mend }),
});
