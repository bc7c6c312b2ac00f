// The fake API server of fast tests keeps the contract that the real one keeps.
import { openAccess } from '../../src/kubernetes/open-access.ts';
import { apiServerContract } from './contract.ts';
import { FakeApiServer } from './fake-api-server.ts';

apiServerContract('the fake API server', async () => {
  const fake = await FakeApiServer.start();
  return {
    access: await openAccess(fake.podAccess),
    namespace: 'default',
    compact: async () => fake.store.compact(),
    bookmark: () => fake.watches.bookmark(),
    close: () => fake.close(),
  };
});
