/**
 * What was in force last, on disk: a sidecar that starts while nobody can be asked goes on with it. The directory is the
 * sidecar's own; the bundle passes the gate again, and a directive is only as old as it was. Written whole or not at
 * all. Shell: owns two files.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Directive, readDirective } from '../rollout/directive.ts';

const DIRECTIVE_FILE = 'directive.json';
const ARCHIVE = /^[0-9a-f]{64}\.tar\.gz$/;
const ARCHIVE_BYTES_MAX = 64 * 1024 * 1024;

export interface Remembered {
  readonly directive: Directive;
  readonly archive: Uint8Array;
  /** When it was written, milliseconds since 1970. */
  readonly atMs: number;
}

export class LastGood {
  readonly #directory: string;
  readonly #failed: (error: unknown) => void;
  #kept: string | null = null;

  constructor(directory: string, failed: (error: unknown) => void) {
    this.#directory = directory;
    this.#failed = failed;
  }

  /** A candidate that may be promoted later, when nobody hands out its bytes again. Never rejects. */
  async store(digest: string, archive: Uint8Array): Promise<void> {
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      await this.#write(fileOf(digest), archive);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Remembers stable only: a rollout is picked up when somebody says so again. Never rejects. */
  async keep(directive: Directive, archive: Uint8Array | null): Promise<void> {
    const { stable, candidate } = directive;
    if (stable === null) return;
    try {
      const name = fileOf(stable.digest);
      if (archive === null && this.#kept !== name && !(await this.#has(name))) return;
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      if (archive !== null) await this.#write(name, archive);
      const quiet = { ...directive, candidate: null, rolloutId: null, weight: 0, phase: 'Stable' };
      await this.#write(DIRECTIVE_FILE, JSON.stringify({ at: Date.now(), directive: quiet }));
      this.#kept = name;
      await this.#sweep(candidate === null ? [name] : [name, fileOf(candidate.digest)]);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** @returns null when nothing usable is there. */
  async recall(): Promise<Remembered | null> {
    try {
      const text = await readFile(join(this.#directory, DIRECTIVE_FILE), 'utf8');
      const { at, directive: given } = JSON.parse(text) as { at?: unknown; directive?: unknown };
      const directive = readDirective(JSON.stringify(given));
      if (directive?.stable == null || typeof at !== 'number') return null;
      const archive = await readFile(join(this.#directory, fileOf(directive.stable.digest)));
      const found = `sha256:${createHash('sha256').update(archive).digest('hex')}`;
      if (archive.length > ARCHIVE_BYTES_MAX || found !== directive.stable.digest) return null;
      return { directive, archive, atMs: at };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#failed(error);
      return null;
    }
  }

  async #has(name: string): Promise<boolean> {
    return (await readdir(this.#directory).catch((): string[] => [])).includes(name);
  }

  async #write(name: string, content: string | Uint8Array): Promise<void> {
    const file = join(this.#directory, name);
    await writeFile(`${file}.new`, content, { mode: 0o600 });
    await rename(`${file}.new`, file);
  }

  async #sweep(keep: readonly string[]): Promise<void> {
    const all = await readdir(this.#directory);
    const old = all.filter((name) => ARCHIVE.test(name) && !keep.includes(name));
    await Promise.all(old.map((name) => rm(join(this.#directory, name), { force: true })));
  }
}

const fileOf = (digest: string) => `${digest.replace('sha256:', '')}.tar.gz`;
