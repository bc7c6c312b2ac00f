/**
 * What the admin listener shows: ready or why not, healthy or why not, metrics, and a status for people. No value of
 * any call stands in it. Shell: reads the state of the other parts.
 */
import type { AdminView } from '../control/admin.ts';
import { VERSION } from '../version.ts';
import type { Fence } from './fence.ts';
import type { ListenerParts } from './listeners.ts';

export function adminView(shared: ListenerParts, started: () => boolean, fence: Fence): AdminView {
  const { policy, journal, metrics, admission, uploads, config } = shared;
  const notReady = () => {
    const state = policy.state();
    const problems: string[] = [];
    if (!started()) problems.push('starting');
    if (!state.ok) problems.push(state.reason);
    if (!journal.status().healthy) problems.push('audit.unavailable');
    if (admission.draining()) problems.push('proxy.draining');
    problems.push(...fence.problems());
    return problems;
  };
  return {
    started,
    notReady,
    // A full disk heals by itself, and restarting does not help against a missing policy.
    unhealthy: () => [],
    metrics: async () => ({ contentType: metrics.contentType, text: await metrics.render() }),
    status: () => ({
      version: VERSION,
      agent: config.agent,
      enforcement: config.enforcement,
      ready: notReady().length === 0,
      problems: notReady(),
      bundles: policy.status(),
      audit: journal.status(),
      calls: { under_way: admission.calls(), tunnels: admission.tunnels() },
      uploads: uploads.size,
      fence: fence.status(),
    }),
  };
}
