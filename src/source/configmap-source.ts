/**
 * Policy by watching the state ConfigMap of a set, and its copies read by name when they are needed. Bundles are
 * immutable and few, so only one small object is watched. Shell: owns one reflector.
 */
import { bundleError } from '../bundle/bundle-error.ts';
import { joinObjects, pieceName } from '../bundle/configmap.ts';
import type { Api } from '../kubernetes/api.ts';
import type { Connection } from '../kubernetes/connection.ts';
import { CONFIG_MAPS, type ReadObject } from '../kubernetes/object.ts';
import { Reflector, type ReflectorObserver } from '../kubernetes/reflector.ts';
import { realTiming, type Timing } from '../kubernetes/timing.ts';
import {
  DIRECTIVE_KEY,
  type Directive,
  type RevisionName,
  readDirective,
} from '../rollout/directive.ts';
import { copyName, stateName } from '../rollout/objects.ts';
import { DirectiveFollower, type FollowerOptions } from './directive-follower.ts';
import { firstWord } from './first-word.ts';
import type { PolicySource } from './policy-source.ts';

export interface ConfigMapSourceOptions extends Omit<FollowerOptions, 'fetch'> {
  readonly set: string;
  readonly namespace: string;
  readonly api: Api;
  readonly connection: Connection;
  /** Counts for the metrics of the watch, which asks how it is. */
  readonly watch: (
    status: Reflector['status'],
  ) => Pick<ReflectorObserver, 'relisted' | 'gone' | 'reconnected' | 'applyError' | 'drift'>;
  readonly failed: (error: unknown) => void;
  /** Between two confirmations that the watch still hears the API server. Default 15 s. */
  readonly confirmMs?: number;
  /** Of the watch and of the confirmations. Default that of the machine. */
  readonly timing?: Timing;
}

/** A quiet API server says something at least every 100 s, when the next watch begins; older may be a server that is gone. */
const HEARD_MS = 120_000;

export function openConfigMapSource(options: ConfigMapSourceOptions): PolicySource {
  const { set, namespace, api, connection, confirmMs = 15_000, timing = realTiming } = options;
  const follower = new DirectiveFollower({
    ...options,
    fetch: (revision) => readCopy(api, namespace, set, revision),
  });
  const word = firstWord();
  const reflector: Reflector = new Reflector({
    api,
    connection,
    resource: CONFIG_MAPS,
    namespace,
    selection: { name: stateName(set) },
    timing,
    onObjects: async (objects) => {
      const directive = directiveOf(objects.get(stateName(set)), set);
      if (directive === null) follower.fail([noState(set)]);
      else await follower.take(directive);
      word.said();
      // Whoever hands these on tries again, after a while.
      if (directive !== null && follower.behind)
        throw new Error('the newest state is not in force');
    },
    observer: {
      ...options.watch(() => reflector.status()),
      connected: () => undefined,
      failed: (error) => {
        options.failed(error);
        word.said();
      },
    },
  });
  let stopConfirming = () => undefined as unknown;
  const confirm = () => {
    stopConfirming = timing.timer(confirmMs, () => {
      confirm();
      const { heardAgoMs } = reflector.status();
      if (heardAgoMs === null || heardAgoMs >= HEARD_MS || follower.behind) return;
      follower.unchanged().catch(() => undefined);
    });
  };
  confirm();
  return {
    start: () => {
      reflector.start();
      return word.heard;
    },
    close: async () => {
      stopConfirming();
      await Promise.all([follower.close(), reflector.close()]);
    },
  };
}

function directiveOf(object: ReadObject | undefined, set: string): Directive | null {
  const { data } = (object ?? {}) as { data?: Readonly<Record<string, string>> };
  const directive = readDirective(data?.[DIRECTIVE_KEY]);
  return directive?.set === set ? directive : null;
}

const noState = (set: string) =>
  bundleError(
    'source_missing',
    { file: `ConfigMap ${stateName(set)}` },
    'none, or none with a directive',
    'the state of a policy set, which the controller writes',
  );

async function readCopy(
  api: Api,
  namespace: string,
  set: string,
  { digest, pieces }: RevisionName,
): Promise<Uint8Array> {
  const name = copyName(set, digest);
  const objects = await Promise.all(
    Array.from({ length: pieces }, async (_, index) => {
      const at = { namespace, name: pieceName(name, index, pieces) };
      const object = await api.get(CONFIG_MAPS, at);
      if (object === null) throw new Error(`no ConfigMap ${at.name}`);
      return { ...object, kind: 'ConfigMap' };
    }),
  );
  return joinObjects(objects, `ConfigMap ${name}`);
}
