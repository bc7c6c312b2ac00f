/**
 * Puts rules into the kernel with the `nft` program, one transaction at a time. Needs NET_ADMIN in the network namespace
 * and nothing else. Shell: runs nft, reads the list of network devices.
 */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { delimiter } from 'node:path';
import { type FencePlan, REMOVAL, renderRuleset } from './ruleset.ts';

/** The rules could not be changed; the message says what to do. Nothing was changed then. */
export class RedirectError extends Error {
  override readonly name = 'RedirectError';
}

export interface Installed {
  /** False: the kernel cannot look at packets of packet sockets (AF_PACKET), so NET_RAW must be dropped. */
  readonly packetSocketsFenced: boolean;
}

const NFT_MS = 10_000;
const LOOPBACK = 'lo';

/**
 * Installs the fence, or takes the place of an older one at once. Twice is the same as once.
 * @throws RedirectError.
 */
export async function install(plan: FencePlan): Promise<Installed> {
  const whole = await nft(renderRuleset(plan, devices()));
  if (whole === null) return { packetSocketsFenced: true };
  // Kernels before 5.16 know no egress hook; everything else must do.
  const rest = await nft(renderRuleset(plan, []));
  if (rest === null) return { packetSocketsFenced: false };
  throw new RedirectError(rest);
}

/** @throws RedirectError. */
export async function remove(): Promise<void> {
  const problem = (await nft(REMOVAL)) === null ? null : await nft(withoutEgress(REMOVAL));
  if (problem !== null) throw new RedirectError(problem);
}

/** Every network device but loopback. */
export function devices(): string[] {
  try {
    return readdirSync('/sys/class/net').filter(
      (name) => name !== LOOPBACK && /^[A-Za-z0-9_.@-]{1,15}$/.test(name),
    );
  } catch {
    return [];
  }
}

const withoutEgress = (text: string) =>
  text
    .split('\n')
    .filter((line) => !line.includes('netdev'))
    .join('\n');

/** @returns null, or why the kernel or nft refused. */
function nft(rules: string): Promise<string | null> {
  const PATH = [process.env['PATH'] ?? '', '/usr/sbin', '/sbin'].join(delimiter);
  return new Promise((resolve) => {
    const child = execFile(
      'nft',
      ['-f', '-'],
      { env: { PATH }, timeout: NFT_MS },
      (error, _out, problem) => resolve(error === null ? null : explained(error, problem)),
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(rules);
  });
}

function explained(error: Error & { code?: unknown }, printed: string): string {
  if (error.code === 'ENOENT') return 'nft: not found, expected the nftables program on the PATH';
  const first = printed.split('\n', 1)[0] ?? '';
  if (/Operation not permitted/.test(printed)) {
    return 'nft: not permitted, expected the capability NET_ADMIN in this network namespace';
  }
  return `nft: ${first === '' ? error.message : first.slice(0, 300)}`;
}
