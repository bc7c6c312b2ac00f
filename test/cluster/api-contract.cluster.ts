/** The real kube-apiserver keeps the contract that the fake one of fast tests keeps. */
import { openAccess } from '../../src/kubernetes/open-access.ts';
import { apiServerContract } from '../kubernetes/contract.ts';
import { startControlPlane } from './control-plane.ts';
import { missingPrograms } from './programs.ts';

const missing = missingPrograms();
if (missing !== null)
  process.stderr.write(`SKIPPED: the contract on a real API server: ${missing}\n`);

apiServerContract(
  'kube-apiserver',
  async () => {
    const plane = await startControlPlane();
    return {
      access: await openAccess({ kubeconfig: plane.admin.kubeconfig }),
      namespace: 'default',
      async compact() {
        // The server remembers events that etcd forgot.
        await plane.apiserver.stop();
        await plane.etcd.compactAll();
        await plane.apiserver.start();
      },
      bookmark: () => undefined,
      close: () => plane.stop(),
    };
  },
  missing === null ? false : `SKIPPED: ${missing}`,
);
