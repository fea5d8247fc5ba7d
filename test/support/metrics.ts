/** One line of `/metrics`: a series, by its name and labels as they are written, and its value. */
export type Sample = { name: string; labels: Record<string, string>; value: number };

/** What a service shows at `/metrics`. */
export async function readMetrics(serviceUrl: string): Promise<{ text: string; samples: Sample[] }> {
  const response = await fetch(new URL('/metrics', serviceUrl));
  const text = await response.text();
  if (response.status !== 200) throw new Error(`the metrics cannot be read: ${response.status} ${text}`);
  const samples = [...text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name = '', labels = '', value]) => ({
    name,
    labels: Object.fromEntries(
      [...labels.matchAll(/(\w+)="(.*?)"/g)].map(([, label = '', said = '']) => [label, said]),
    ),
    value: Number(value),
  }));
  return { text, samples };
}

/** The series of one metric that have changed between two readings, by the values of their labels, with how much. */
export function changesOf(name: string, before: readonly Sample[], after: readonly Sample[]): Record<string, number> {
  const valuesOf = (samples: readonly Sample[]) =>
    new Map(
      samples.filter((one) => one.name === name).map(({ labels, value }) => [Object.values(labels).join(' '), value]),
    );
  const earlier = valuesOf(before);
  return Object.fromEntries(
    [...valuesOf(after)]
      .map(([labels, value]): [string, number] => [labels, value - (earlier.get(labels) ?? 0)])
      .filter(([, change]) => change !== 0),
  );
}
