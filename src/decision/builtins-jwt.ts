/**
 * Host builtins on JSON Web Tokens: io.jwt.decode, verify_* and decode_verify, by OPA's rules. Signing is left out on
 * purpose. Pure.
 */
import { type Builtin, type BuiltinContext, isArray, isNumber, isObject } from './builtin.ts';
import { type JwtKey, parseJwtKeys, verifyJwt } from './jwt-keys.ts';
import { parseRego, type RegoObject, RegoSyntaxError, type RegoValue } from './rego-value.ts';

/** Reading a key and checking one signature takes up to a fraction of a millisecond. */
const STEPS_PER_SIGNATURE = 5_000_000;
const NESTED_MAX = 16;

interface Token {
  readonly header: RegoObject;
  /** Text before the last dot. */
  readonly signed: string;
  readonly payload: string;
  readonly signature: string;
}

interface Header {
  readonly alg: string;
  readonly kid: string;
  readonly cty: string;
  /** An extension is critical that nobody here knows. */
  readonly unknownCritical: boolean;
}

function fromBase64Url(text: string): Buffer | null {
  const characters = text.replace(/[\r\n]/g, '');
  const bare = characters.replace(/={1,2}$/, '');
  const padded = bare !== characters && characters.length % 4 !== 0;
  if (padded || bare.length % 4 === 1 || !/^[A-Za-z0-9_-]*$/.test(bare)) return null;
  return Buffer.from(bare, 'base64url');
}

function parseObject(text: string): RegoObject | null {
  try {
    const value = parseRego(text, 'loose-json');
    return isObject(value) ? value : null;
  } catch (error) {
    if (error instanceof RegoSyntaxError) return null;
    throw error;
  }
}

/** Null when the text is no signed token. */
function parseToken(text: string): Token | null {
  const [head = '', payload, signature, ...more] = text.split('.');
  if (payload === undefined || signature === undefined || more.length > 0) return null;
  const headerText = fromBase64Url(head);
  const header = headerText === null ? null : parseObject(headerText.toString());
  if (header === null || header.has('enc')) return null;
  return { header, signed: `${head}.${payload}`, payload, signature };
}

/** Null when a field has the wrong type. */
function parseHeader(header: RegoObject): Header | null {
  const fields = Object.fromEntries(header) as Record<string, RegoValue | undefined>;
  const { alg = '', kid = '', typ = '', cty = '', crit } = fields;
  if (typeof alg !== 'string' || typeof kid !== 'string') return null;
  if (typeof typ !== 'string' || typeof cty !== 'string') return null;
  if (crit !== undefined && (!isArray(crit) || typeof crit[0] !== 'string')) return null;
  const known = new Set<RegoValue>(['alg', 'kid', 'typ', 'cty', 'crit']);
  const critical = new Set(crit);
  const unknownCritical = [...header.keys()].some((key) => !known.has(key) && critical.has(key));
  return { alg, kid, cty, unknownCritical };
}

const decode: Builtin = ([text]) => {
  let nested = text;
  for (let depth = 0; depth < NESTED_MAX; depth++) {
    const token = typeof nested === 'string' ? parseToken(nested) : null;
    const payload = token === null ? null : fromBase64Url(token.payload);
    if (token === null || payload === null) return undefined;
    const cty = token.header.get('cty');
    if (cty === 'JWT') {
      nested = payload.toString().replace(/^["']+|["']+$/g, '');
      continue;
    }
    const claims = parseObject(payload.toString());
    const signature = fromBase64Url(token.signature);
    if (claims === null || signature === null) return undefined;
    if (cty !== undefined && typeof cty !== 'string') return undefined;
    return [token.header, claims, signature.toString('hex')];
  }
  return undefined;
};

type Charge = BuiltinContext['charge'];

/** Tries the key that the token names, or else every key that is not for another algorithm. */
function signedByOne(
  keys: readonly JwtKey[],
  { kid, alg }: Header,
  charge: Charge,
  check: (key: JwtKey['key']) => boolean,
): boolean {
  const own = kid === '' ? undefined : keys.find(({ id }) => id === kid);
  const fitting = keys.filter(({ algorithm }) => algorithm === '' || algorithm === alg);
  return (own === undefined ? fitting : [own]).some(({ key }) => {
    charge(STEPS_PER_SIGNATURE);
    return check(key);
  });
}

const verifyWithKeys =
  (algorithm: string): Builtin =>
  ([text, keyText], { charge }) => {
    if (typeof text !== 'string' || typeof keyText !== 'string') return undefined;
    charge(STEPS_PER_SIGNATURE);
    const token = parseToken(text);
    const keys = parseJwtKeys(keyText);
    if (token === null || keys === null) return undefined;
    const signature = fromBase64Url(token.signature);
    const header = parseHeader(token.header);
    if (signature === null || header === null) return undefined;
    return signedByOne(keys, header, charge, (key) =>
      verifyJwt(algorithm, key, token.signed, signature, 'any'),
    );
  };

/** The header is not looked at, so it need not be one. */
const verifyWithSecret =
  (algorithm: string): Builtin =>
  ([text, secret]) => {
    if (typeof text !== 'string' || typeof secret !== 'string') return undefined;
    const parts = text.split('.');
    const signature = parts.length === 3 ? fromBase64Url(parts[2] as string) : null;
    if (signature === null) return undefined;
    const signed = `${parts[0]}.${parts[1]}`;
    return verifyJwt(algorithm, Buffer.from(secret), signed, signature, 'any');
  };

interface Constraints {
  readonly keys: readonly JwtKey[] | null;
  readonly secret: string;
  readonly alg: string;
  readonly iss: string;
  readonly aud: string;
  /** Nanoseconds since 1970. */
  readonly time: number;
}

/** Null when they are not valid: an unknown name, no key, or two. */
function parseConstraints(object: RegoObject, timeNs: bigint): Constraints | null {
  const known = new Set<RegoValue>(['cert', 'secret', 'alg', 'iss', 'aud', 'time']);
  if ([...object.keys()].some((name) => !known.has(name))) return null;
  const texts: Record<string, string> = {};
  for (const name of ['cert', 'secret', 'alg', 'iss', 'aud']) {
    const value = object.get(name) ?? '';
    if (typeof value !== 'string') return null;
    texts[name] = value;
  }
  const time = object.get('time') ?? timeNs;
  const keys = object.has('cert') ? parseJwtKeys(texts['cert'] as string) : null;
  const secret = texts['secret'] as string;
  if (!isNumber(time) || time < 0 || (object.has('cert') && keys === null)) return null;
  if ((keys === null) === (secret === '')) return null;
  const { alg = '', iss = '', aud = '' } = texts;
  return { keys, secret, alg, iss, aud, time: Number(time) };
}

const UNVERIFIED = (): RegoValue => [false, new Map(), new Map()];

const decodeVerify: Builtin = ([text, constraintsObject], { charge, timeNs }) => {
  if (typeof text !== 'string' || !isObject(constraintsObject)) return undefined;
  charge(STEPS_PER_SIGNATURE);
  const constraints = parseConstraints(constraintsObject, timeNs);
  if (constraints === null) return undefined;
  let nested = text;
  for (let depth = 0; depth < NESTED_MAX; depth++) {
    const token = parseToken(nested);
    const header = token === null ? null : parseHeader(token.header);
    if (token === null || header === null) return undefined;
    if (header.alg === '' || header.unknownCritical) return UNVERIFIED();
    if (constraints.alg !== '' && constraints.alg !== header.alg) return UNVERIFIED();
    const signature = fromBase64Url(token.signature);
    if (signature === null) return undefined;
    if (!trusted(constraints, token, header, signature, charge)) return UNVERIFIED();
    const payload = fromBase64Url(token.payload);
    if (payload === null) return undefined;
    if (header.cty.toLowerCase() === 'jwt') {
      nested = payload.toString();
      continue;
    }
    const claims = parseObject(payload.toString());
    if (claims === null) return undefined;
    const accepted = acceptable(claims, constraints);
    if (accepted === undefined) return undefined;
    return accepted ? [true, token.header, claims] : UNVERIFIED();
  }
  return undefined;
};

function trusted(
  { keys, secret }: Constraints,
  { signed }: Token,
  header: Header,
  signature: Buffer,
  charge: Charge,
): boolean {
  const check = (key: JwtKey['key']) => verifyJwt(header.alg, key, signed, signature, 'digest');
  return keys === null ? check(Buffer.from(secret)) : signedByOne(keys, header, charge, check);
}

/** Undefined when a claim has the wrong type. */
function acceptable(claims: RegoObject, constraints: Constraints): boolean | undefined {
  const { iss, aud, time } = constraints;
  const [issuer, audience] = [claims.get('iss'), claims.get('aud')];
  if (iss !== '') {
    if (issuer !== undefined && typeof issuer !== 'string') return undefined;
    if (issuer !== iss) return false;
  }
  const audiences = isArray(audience) ? audience : [audience];
  if ((audience !== undefined || aud !== '') && !audiences.includes(aud)) return false;
  const seconds = time / 1e9;
  const [expires, notBefore] = [claims.get('exp'), claims.get('nbf')];
  if (expires !== undefined) {
    if (!isNumber(expires)) return undefined;
    if (seconds >= expires) return false;
  }
  if (notBefore !== undefined) {
    if (!isNumber(notBefore)) return undefined;
    if (seconds < notBefore) return false;
  }
  return true;
}

const KEYED = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'];
const named = (algorithms: readonly string[], make: (algorithm: string) => Builtin) =>
  algorithms.map((name) => [`io.jwt.verify_${name.toLowerCase()}`, make(name)] as const);

export const JWT_BUILTINS: Readonly<Record<string, Builtin>> = {
  'io.jwt.decode': decode,
  'io.jwt.decode_verify': decodeVerify,
  ...Object.fromEntries(named([...KEYED, 'EdDSA'], verifyWithKeys)),
  ...Object.fromEntries(named(['HS256', 'HS384', 'HS512'], verifyWithSecret)),
};
