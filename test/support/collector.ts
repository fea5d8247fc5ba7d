import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Test } from 'tap';
import { listen } from './network.ts';

/** A span as the collector got it. Ids are hexadecimal; `parentSpanId` is empty for the first of a trace. */
export type Exported = {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId: string;
  attributes: Record<string, string | number>;
  links: { traceId: string; spanId: string }[];
};

type OtlpValue = { stringValue?: string; intValue?: number };
type OtlpSpan = Omit<Exported, 'attributes' | 'links' | 'parentSpanId'> & {
  parentSpanId?: string;
  attributes: { key: string; value: OtlpValue }[];
  links?: Exported['links'];
};
type OtlpTraces = { resourceSpans: { scopeSpans: { spans: OtlpSpan[] }[] }[] };

/**
 * Starts what stands for an OpenTelemetry collector, of which there is no package to be had: it takes traces by OTLP over
 * HTTP, as JSON, and keeps them. `text` is all of it as it came.
 */
export async function startCollector(t: Test) {
  const collector = { url: '', spans: [] as Exported[], text: '', paths: new Set<string>() };
  const server = createServer(async (request, response) => {
    const body = await text(request);
    collector.text += body;
    collector.paths.add(`${request.method} ${request.url}`);
    const { resourceSpans }: OtlpTraces = JSON.parse(body);
    for (const { spans } of resourceSpans.flatMap(({ scopeSpans }) => scopeSpans)) {
      collector.spans.push(
        ...spans.map(({ attributes, links = [], parentSpanId = '', ...span }) => ({
          ...span,
          parentSpanId,
          links,
          attributes: Object.fromEntries(
            attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? '']),
          ),
        })),
      );
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  collector.url = `http://127.0.0.1:${await listen(t, server)}`;
  return collector;
}
