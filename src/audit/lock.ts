/**
 * One writer for one log. The file `lock` names the process that writes; who finds it decides whether that process
 * is alive: by process id and start time when it can see it, otherwise (another container, another machine) by
 * watching whether the file's beat goes on. A writer that lost its lock finds out at its next beat and must stop.
 * Shell: owns the file `lock`.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMissing } from './disk.ts';

interface Holder {
  readonly nonce: string;
  readonly pid: number;
  /** Start of the process in clock ticks since boot; null where there is no /proc. */
  readonly start: string | null;
  /** Boot of the machine and process namespace: process ids mean something only inside both. */
  readonly world: string | null;
}

export interface Lock {
  /** Shows that the writer lives. @returns false when the lock is somebody else's now. */
  beat(): boolean;
  release(): void;
}

/** Another process writes this log. */
export class LogInUse extends Error {
  override readonly name = 'LogInUse';
}

/** Milliseconds without a beat after which an unseen holder counts as dead; the writer beats every second. */
const SILENCE_MS = 5000;

export async function acquireLock(directory: string, silenceMs = SILENCE_MS): Promise<Lock> {
  const path = join(directory, 'lock');
  const mine: Holder = {
    nonce: randomUUID(),
    pid: process.pid,
    start: startOf(process.pid),
    world: world(),
  };
  for (let attempt = 0; attempt < 3; attempt += 1) {
    if (create(path, mine)) return lockAt(path, mine);
    const found = read(path);
    if (found === null) continue;
    const dead = isDead(found.holder) ?? (await isSilent(path, found.text, silenceMs));
    if (!dead) {
      const who = found.holder ? `process ${found.holder.pid}` : 'another process';
      throw new LogInUse(
        `${path}: the log is written by ${who}; expected one sidecar for each log`,
      );
    }
    remove(path, found.text);
  }
  throw new LogInUse(`${path}: the lock keeps changing hands; expected one sidecar for each log`);
}

function lockAt(path: string, mine: Holder): Lock {
  return {
    beat: () => {
      if (read(path)?.holder?.nonce !== mine.nonce) return false;
      const now = new Date();
      fs.utimesSync(path, now, now);
      return true;
    },
    release: () => {
      if (read(path)?.holder?.nonce === mine.nonce) fs.unlinkSync(path);
    },
  };
}

/** Makes the lock file with its content in one step: a link to a finished file. @returns false when there is one. */
function create(path: string, mine: Holder): boolean {
  const draft = `${path}.${mine.nonce}`;
  fs.writeFileSync(draft, `${JSON.stringify(mine)}\n`, { mode: 0o600, flag: 'w' });
  try {
    fs.linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    fs.unlinkSync(draft);
  }
}

/** Moves a dead holder's lock aside; one that changed hands meanwhile is put back. */
function remove(path: string, expected: string): void {
  const aside = `${path}.${randomUUID()}`;
  try {
    fs.renameSync(path, aside);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  if (fs.readFileSync(aside, 'utf8') !== expected) fs.linkSync(aside, path);
  fs.unlinkSync(aside);
}

function read(path: string): { text: string; holder: Holder | null } | null {
  try {
    const text = fs.readFileSync(path, 'utf8');
    return { text, holder: parseHolder(text) };
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function parseHolder(text: string): Holder | null {
  const match =
    /^\{"nonce":"([0-9a-f-]{36})","pid":([0-9]{1,10}),"start":(null|"[0-9]+"),"world":(null|"[^"]*")\}\n$/.exec(
      text,
    );
  return match ? (JSON.parse(text) as Holder) : null;
}

/** @returns null when it cannot be known from here. */
function isDead(holder: Holder | null): boolean | null {
  if (holder === null || holder.start === null || holder.world !== world()) return null;
  return startOf(holder.pid) !== holder.start;
}

async function isSilent(path: string, text: string, silenceMs: number): Promise<boolean> {
  const beat = beatOf(path);
  for (let waited = 0; waited < silenceMs; waited += 100) {
    await sleep(100);
    if (beatOf(path) !== beat || read(path)?.text !== text) return false;
  }
  return true;
}

const beatOf = (path: string) => fs.statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null;

/** Field 22 of /proc/<pid>/stat, counted from behind the command, which may hold anything. */
function startOf(pid: number): string | null {
  const stat = readProc(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}

function world(): string | null {
  const boot = readProc('/proc/sys/kernel/random/boot_id');
  if (boot === null) return null;
  return `${boot.trim()} ${fs.readlinkSync('/proc/self/ns/pid')}`;
}

function readProc(path: string): string | null {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch (error) {
    if (isMissing(error) || (error as NodeJS.ErrnoException).code === 'ESRCH') return null;
    throw error;
  }
}
