/** One line of a side file of an audit log: which entry it is about, and what is kept of it. Not trusted. Pure. */
import { z } from 'zod';
import type { Opening } from '../audit/commitment.ts';

const HEAD_BYTES = 40;
const HEAD = /^\{"seq":([0-9]{1,15}),/;

const line = z.object({
  openings: z
    .array(z.object({ pointer: z.string(), salt: z.string().max(64), value: z.string() }))
    .max(1000),
});

/** The number of the entry that a line of a side file is about; null when it is none. */
export function seqOfOpenings(bytes: Buffer): number | null {
  const head = HEAD.exec(bytes.toString('latin1', 0, HEAD_BYTES));
  return head === null ? null : Number(head[1]);
}

export function openingsIn(bytes: Buffer): readonly Opening[] {
  try {
    const parsed = line.safeParse(JSON.parse(bytes.toString()));
    return parsed.success ? parsed.data.openings : [];
  } catch {
    return []; // no JSON: as if nothing had been kept
  }
}
