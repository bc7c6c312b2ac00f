/**
 * An audit log of a real sidecar with its side files: mails that went through and mails that did not, a session, and
 * calls that no catalogue names. Shell: runs a sidecar and a tool, which end before the log is handed out.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { mailCall, post } from '../e2e/agent.ts';
import { type SidecarSetup, UPLOAD_TOKEN } from '../e2e/sidecar-process.ts';
import { stageMail } from '../e2e/stage.ts';
import { directory } from './egret.ts';

export interface RecordedLog {
  readonly audit: string;
  readonly openings: string;
}

export const RECEIPT = 'a receipt\n';
const attachments = [{ filename: 'r.txt', content: Buffer.from(RECEIPT).toString('base64') }];

let common: RecordedLog | null = null;

/** The log of the receipts policy, recorded once for a test file; a copy that the test may spoil. */
export async function commonLog(t: TestContext): Promise<RecordedLog> {
  common ??= await recordedLog(t, {}, directoryOfFile());
  const place = directory(t);
  const copy = { audit: join(place, 'audit'), openings: join(place, 'openings') };
  cpSync(common.audit, copy.audit, { recursive: true });
  cpSync(common.openings, copy.openings, { recursive: true });
  return copy;
}

/** Goes when the process does. */
function directoryOfFile(): string {
  const place = mkdtempSync(join(tmpdir(), 'egret-author-'));
  process.once('exit', () => rmSync(place, { recursive: true, force: true }));
  return place;
}

export async function recordedLog(
  t: TestContext,
  setup: Pick<SidecarSetup, 'bundle' | 'config'> = {},
  place: string = directory(t),
): Promise<RecordedLog> {
  const [audit, openings] = [join(place, 'audit'), join(place, 'openings')];
  const config = { audit: { directory: audit, openingsDirectory: openings }, ...setup.config };
  const { sidecar } = await stageMail(t, { ...setup, config });
  const { gateway, decision } = sidecar.ports;
  const mcp = (body: string) => post(`http://127.0.0.1:${gateway}/mcp/mail`, body);
  const sends = (mail: object) => mcp(mailCall(mail));
  await fetch(`http://127.0.0.1:${decision}/v1/uploads`, {
    method: 'POST',
    headers: { authorization: `Bearer ${UPLOAD_TOKEN}` },
    body: RECEIPT,
  });
  await sends({});
  await sends({ subject: 'another' });
  await sends({ attachments });
  await sends({ to: ['thief@attacker.example'] });
  await sends({ subject: 'an invoice' });
  const other = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} };
  await mcp(JSON.stringify(other));
  const tool = { name: 'archive_mail', arguments: { folder: 'done', 'with a space': 1 } };
  await mcp(JSON.stringify({ ...other, method: 'tools/call', params: tool }));
  await fetch(`http://127.0.0.1:${gateway}/tools/gmail/labels/42?limit=7`);
  await fetch(`http://127.0.0.1:${gateway}/mcp/nowhere`);
  await sidecar.stop();
  return { audit, openings };
}
