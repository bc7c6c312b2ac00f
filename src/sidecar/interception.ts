/**
 * Trust of this process: whose certificates it believes at the tools, and the authority whose certificates the agent
 * must believe when TLS is opened here. Shell: reads the roots once, owns the interception.
 */
import type { Config } from '../config/schema.ts';
import type { Log } from '../telemetry/log.ts';
import { type Interception, startInterception } from '../tls/interception.ts';
import { RootsError } from '../tls/roots.ts';
import { TrustError } from '../tls/trust.ts';
import { createUpstreamTrust, type UpstreamTrust } from '../tls/upstream-trust.ts';
import { StartError } from './start-error.ts';

export interface Trust {
  readonly upstream: UpstreamTrust;
  /** Null when TLS is not opened here. */
  readonly interception: Interception | null;
}

/** @throws StartError that names the file. */
export async function openTrust(config: Config, log: Log): Promise<Trust> {
  const { rootsFile, caFiles } = config.upstream;
  try {
    const upstream = createUpstreamTrust({ rootsFile, caFiles });
    const { tls } = config;
    if (tls === undefined) return { upstream, interception: null };
    const interception = await startInterception({
      ...tls,
      roots: upstream.roots,
      onFailure: (error) => log.event('tls.renewal_failed', { error: describe(error) }),
    });
    log.event('tls.intercepting', {
      directory: tls.trustDirectory,
      valid_hours: tls.validHours,
    });
    return { upstream, interception };
  } catch (error) {
    if (error instanceof RootsError) {
      const single = rootsFile !== undefined && error.message.startsWith(`${rootsFile}:`);
      const place = single ? 'upstream.rootsFile' : 'upstream.caFiles';
      throw new StartError(`${place}: ${error.message}`, { cause: error });
    }
    if (!(error instanceof TrustError)) throw error;
    throw new StartError(`tls.trustDirectory: ${error.message}`, { cause: error });
  }
}

const describe = (error: unknown) => (error instanceof Error ? error.message : String(error));
