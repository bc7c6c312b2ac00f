/**
 * The host builtins of the engine by name: a closed list. A policy that needs any other is refused when it is loaded.
 * Together with what is compiled into the policy they are all builtins of OPA but those in refused-builtins.ts. Pure.
 */
import type { Builtin } from './builtin.ts';
import { DOCUMENT_BUILTINS } from './builtins-document.ts';
import { ENCODING_BUILTINS } from './builtins-encoding.ts';
import { GLOBS_MATCH_BUILTINS } from './builtins-globs-match.ts';
import { GRAPHQL_BUILTINS } from './builtins-graphql.ts';
import { JSON_BUILTINS } from './builtins-json.ts';
import { JWT_BUILTINS } from './builtins-jwt.ts';
import { NET_BUILTINS } from './builtins-net.ts';
import { NUMBER_BUILTINS } from './builtins-number.ts';
import { REGEX_BUILTINS } from './builtins-regex.ts';
import { TEXT_BUILTINS } from './builtins-text.ts';
import { TIME_BUILTINS } from './builtins-time.ts';
import { URI_BUILTINS } from './builtins-uri.ts';
import { VERSION_BUILTINS } from './builtins-version.ts';
import { X509_BUILTINS } from './builtins-x509.ts';

export const BUILTINS: ReadonlyMap<string, Builtin> = new Map(
  [
    DOCUMENT_BUILTINS,
    ENCODING_BUILTINS,
    GLOBS_MATCH_BUILTINS,
    GRAPHQL_BUILTINS,
    JSON_BUILTINS,
    JWT_BUILTINS,
    NET_BUILTINS,
    NUMBER_BUILTINS,
    REGEX_BUILTINS,
    TEXT_BUILTINS,
    TIME_BUILTINS,
    URI_BUILTINS,
    VERSION_BUILTINS,
    X509_BUILTINS,
  ].flatMap((family) => Object.entries(family)),
);
