/**
 * Builtins of OPA that no policy may use here, with the reason: whatever reaches out of the process, and whatever
 * signs with a key that would have to be in the policy. Pure.
 */

const NETWORK = 'a decision must not reach out of the process';
const SIGNING = 'a policy must not hold keys to sign with';

export const REFUSED_BUILTINS: ReadonlyMap<string, string> = new Map([
  ['http.send', NETWORK],
  ['net.lookup_ip_addr', NETWORK],
  ['io.jwt.encode_sign', SIGNING],
  ['io.jwt.encode_sign_raw', SIGNING],
  ['providers.aws.sign_req', SIGNING],
  ['rego.parse_module', 'there is no parser of Rego where decisions are made'],
]);
