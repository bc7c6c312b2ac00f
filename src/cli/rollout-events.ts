/**
 * Events about a policy set. They are an addition: whoever may not read them, or comes after they are gone, still gets
 * everything else. Shell: asks the API server.
 */
import { z } from 'zod';
import { type Connection, readText } from '../kubernetes/connection.ts';
import { EVENTS, pathOf } from '../kubernetes/object.ts';
import type { SetEvent } from '../rollout/event-text.ts';

const EVENTS_MAX = 500;
const BYTES_MAX = 4 * 1024 * 1024;
const TIMEOUT_MS = 5000;

const eventSchema = z.looseObject({
  involvedObject: z.looseObject({ name: z.string() }),
  type: z.string(),
  reason: z.string(),
  message: z.string(),
  lastTimestamp: z.string().nullish(),
  eventTime: z.string().nullish(),
  metadata: z.looseObject({
    creationTimestamp: z.string().nullish(),
    resourceVersion: z.string().nullish(),
  }),
});
const listSchema = z.looseObject({ items: z.array(z.unknown()).nullish() });

/** @returns nothing when they cannot be read. */
export async function eventsAbout(
  connection: Connection,
  namespace: string,
  names: readonly string[],
): Promise<readonly SetEvent[]> {
  const lists = await Promise.all(
    names.map((name) => eventsOf(connection, namespace, name).catch(() => [])),
  );
  return lists.flat().toSorted((a, b) => a.atMs - b.atMs);
}

async function eventsOf(
  connection: Connection,
  namespace: string,
  name: string,
): Promise<SetEvent[]> {
  const query = { fieldSelector: `involvedObject.name=${name}`, limit: String(EVENTS_MAX) };
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const path = pathOf(EVENTS, namespace);
  const answer = await connection.send({ method: 'GET', path, query, signal });
  const { items } = listSchema.parse(JSON.parse(await readText(answer, BYTES_MAX)));
  const events = (items ?? []).flatMap((item) => {
    const event = eventSchema.safeParse(item);
    if (!event.success || event.data.involvedObject.name !== name) return [];
    const { type, reason, message, lastTimestamp, eventTime, metadata } = event.data;
    const atMs = Date.parse(lastTimestamp ?? eventTime ?? metadata.creationTimestamp ?? '');
    return Number.isNaN(atMs)
      ? []
      : [{ atMs, type, reason, message, version: Number(metadata.resourceVersion) || 0 }];
  });
  // Times are in whole seconds; within one the order of writing counts.
  return events
    .toSorted((a, b) => a.atMs - b.atMs || a.version - b.version)
    .map(({ version: _, ...event }) => event);
}
