/**
 * Cold start: from spawning the sidecar until it says it is ready, with a policy bundle of one megabyte. Shell: owns
 * nothing, starts children one after the other.
 */
import { cpSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Children } from './children.ts';
import { median } from './rounds.ts';
import { startSidecar } from './sidecar.ts';

const BUNDLE_BYTES = 1_000_000;

export interface ColdStart {
  readonly coldStartMs: number;
  readonly bundleBytes: number;
}

export interface ColdStartOptions {
  readonly children: Children;
  readonly directory: string;
  /** Folder with the files of a bundle. */
  readonly policyDirectory: string;
  readonly upstreamPort: number;
  readonly starts: number;
}

export async function measureColdStart(options: ColdStartOptions): Promise<ColdStart> {
  const { children, directory, policyDirectory, upstreamPort, starts } = options;
  const bundleDirectory = join(directory, 'large-bundle');
  const bundleBytes = padBundle(policyDirectory, bundleDirectory);
  const readyMs: number[] = [];
  for (let start = 0; start < starts; start += 1) {
    const name = `cold-start-${start}`;
    const settings = {
      name,
      directory,
      bundleDirectory,
      upstreamPort,
      durability: 'write' as const,
    };
    const sidecar = await startSidecar(children, settings);
    readyMs.push(sidecar.readyMs);
    await children.end(sidecar.child);
  }
  return { coldStartMs: median(readyMs), bundleBytes };
}

/** Copies a bundle and adds data until it has a megabyte. @returns the bytes of its files. */
function padBundle(source: string, target: string): number {
  cpSync(source, target, { recursive: true });
  const missing = BUNDLE_BYTES - bytesOf(target);
  const rows = Array.from({ length: Math.max(0, Math.floor(missing / 64)) }, (_, index) => [
    `customer-${String(index).padStart(8, '0')}`,
    `customer${index}@customers.example.com`.padEnd(40, 'x').slice(0, 40),
  ]);
  mkdirSync(join(target, 'config/padding'), { recursive: true });
  writeFileSync(join(target, 'config/padding/data.json'), JSON.stringify(Object.fromEntries(rows)));
  return bytesOf(target);
}

function bytesOf(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((file) => statSync(join(folder, file)))
    .filter((stats) => stats.isFile())
    .reduce((sum, stats) => sum + stats.size, 0);
}
