/**
 * Opening a log directory: takes the lock, finds or makes key and origin, recovers what a former run left, cuts torn
 * ends off (a copy goes to `quarantine`), and puts a damaged log aside as a whole so that a new one can start.
 * Shell: owns the log directory until the journal takes over.
 */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import {
  isKeyName,
  parseVerifierKey,
  renderVerifierKey,
  type Signer,
  type VerifierKey,
} from './checkpoint.ts';
import { makeDirectory, readIfThere, syncDirectory, TEMPORARY, writeDurably } from './disk.ts';
import { HISTORY, LOCK, QUARANTINE, VERIFIER_KEY, walName } from './layout.ts';
import { acquireLock, type Lock } from './lock.ts';
import type { LifecycleEvent } from './record.ts';
import {
  type Damaged,
  nothingRecovered,
  type Recovered,
  recover,
  type WalFile,
} from './recovery.ts';
import { loadSigningKey, OWN_KEY_FILE } from './signing-key.ts';

export interface OpenOptions {
  readonly directory: string;
  readonly origin: string | null;
  readonly keyFile: string | null;
  readonly keyDirectory: string | null;
  readonly lockSilenceMs: number;
}

export interface OpenedLog {
  readonly lock: Lock;
  readonly signer: Signer;
  /** Text form of the public key. */
  readonly vkey: string;
  readonly recovered: Recovered;
  /** Tree sizes of the checkpoints in the history. */
  readonly history: readonly number[];
  /** Set when the former log could not be continued: why, its newest checkpoint, and where it lies now. */
  readonly replaced: (Damaged & { readonly origin: string; readonly quarantine: string }) | null;
}

/** Bytes of torn ends that were cut off the live tail. */
export const bytesCut = ({ wals }: Recovered): number =>
  wals.reduce((sum, wal) => sum + wal.bytesCut, 0);

/** What the log has to say of how the former run ended. @returns null when it ended cleanly. */
export function recoveryEvent({ recovered, replaced }: OpenedLog): LifecycleEvent | null {
  if (replaced !== null) {
    const { origin, detail, quarantine, checkpoint } = replaced;
    const root = checkpoint?.root.toString('base64') ?? null;
    const old = { origin, root, size: checkpoint?.size ?? null };
    return { event: 'recovery', detail: { cause: 'damaged', detail, old, quarantine } };
  }
  const cut = bytesCut(recovered);
  if (recovered.clean && cut === 0) return null;
  const open = recovered.open.size;
  return {
    event: 'recovery',
    detail: { bytes_cut: cut, cause: 'unclean_stop', open_calls: open },
  };
}

/** Throws LogInUse when another process writes here, and an Error naming file and key when the key is not the log's. */
export async function openLog(options: OpenOptions): Promise<OpenedLog> {
  const { directory } = options;
  await makeDirectory(directory);
  const lock = await acquireLock(directory, options.lockSilenceMs);
  try {
    return await openLocked(options, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function openLocked(options: OpenOptions, lock: Lock): Promise<OpenedLog> {
  const { directory } = options;
  await removeTemporaries(directory);
  const key = await loadSigningKey(options.keyFile, options.keyDirectory ?? directory);
  const known = await knownVerifier(directory);
  const origin = known?.name ?? options.origin ?? `egret-${randomBytes(6).toString('hex')}`;
  if (!isKeyName(origin))
    throw new Error(
      `audit origin: found ${JSON.stringify(origin)}, expected no white space and no +`,
    );
  const vkey = renderVerifierKey(origin, key.publicKey);
  const verifier = known ?? (parseVerifierKey(vkey) as VerifierKey);
  if (!verifier.id.equals((parseVerifierKey(vkey) as VerifierKey).id)) {
    throw new Error(
      `${join(directory, VERIFIER_KEY)}: the signing key is another one; expected the log's own key`,
    );
  }
  const found = await recover(directory, verifier);
  if (!found.ok) {
    const fresh = { name: nextOrigin(origin), privateKey: key.privateKey };
    const quarantine = await setAside(directory);
    const newKey = renderVerifierKey(fresh.name, key.publicKey);
    await writeDurably(join(directory, VERIFIER_KEY), `${newKey}\n`);
    const replaced = { ...found, origin, quarantine };
    return {
      lock,
      signer: fresh,
      vkey: newKey,
      recovered: nothingRecovered(),
      history: [],
      replaced,
    };
  }
  await writeDurably(join(directory, VERIFIER_KEY), `${vkey}\n`);
  for (const wal of found.wals) await cutTail(directory, wal);
  const signer = { name: origin, privateKey: key.privateKey };
  const history = historyOf(directory);
  return { lock, signer, vkey, recovered: found, history, replaced: null };
}

async function knownVerifier(directory: string): Promise<VerifierKey | null> {
  const bytes = await readIfThere(join(directory, VERIFIER_KEY));
  if (bytes === null) return null;
  const verifier = parseVerifierKey(bytes.toString());
  if (verifier === null)
    throw new Error(`${join(directory, VERIFIER_KEY)}: not a verifier key; expected name+id+key`);
  return verifier;
}

/** `name` becomes `name~2`, `name~2` becomes `name~3`. */
function nextOrigin(origin: string): string {
  const [, base = origin, count = '1'] = /^(.*)~([0-9]{1,9})$/.exec(origin) ?? [];
  return `${base}~${Number(count) + 1}`;
}

/** Keeps a copy of what is cut, because somebody may have to explain it. */
async function cutTail(directory: string, wal: WalFile): Promise<void> {
  if (wal.bytesCut === 0) return;
  const path = join(directory, walName(wal.number));
  const bytes = await fs.promises.readFile(path);
  await makeDirectory(join(directory, QUARANTINE));
  const copy = join(directory, QUARANTINE, `${walName(wal.number)}.from-${wal.bytes}`);
  await writeDurably(copy, bytes.subarray(wal.bytes));
  await fs.promises.truncate(path, wal.bytes);
  const file = await fs.promises.open(path, 'r+');
  await file.sync();
  await file.close();
}

/** Moves everything but lock, key and former quarantine into a new directory below `quarantine`. */
async function setAside(directory: string): Promise<string> {
  const parent = join(directory, QUARANTINE);
  await makeDirectory(parent);
  const number =
    1 +
    Math.max(
      0,
      ...fs.readdirSync(parent).map((name) => Number(/^[0-9]{1,9}$/.exec(name)?.[0] ?? 0)),
    );
  const target = join(parent, String(number));
  await makeDirectory(target);
  const staying = new Set([LOCK, QUARANTINE, OWN_KEY_FILE]);
  for (const name of fs.readdirSync(directory)) {
    if (staying.has(name)) continue;
    await fs.promises.rename(join(directory, name), join(target, name));
  }
  await syncDirectory(target);
  await syncDirectory(directory);
  return `${QUARANTINE}/${number}`;
}

function historyOf(directory: string): number[] {
  const path = join(directory, HISTORY);
  if (!fs.existsSync(path)) return [];
  return fs
    .readdirSync(path)
    .filter((name) => /^[0-9]{1,16}$/.test(name))
    .map(Number);
}

/** Drafts of a former run at the top of the directory and in the history; those in `tile` are written over. */
async function removeTemporaries(directory: string): Promise<void> {
  for (const below of [directory, join(directory, HISTORY)]) {
    if (!fs.existsSync(below)) continue;
    for (const name of fs.readdirSync(below)) {
      const stale = name.endsWith(TEMPORARY) || /^lock\.[0-9a-f-]{36}$/.test(name);
      if (stale) await fs.promises.rm(join(below, name), { force: true });
    }
  }
}
