/** What a server shows to prove who it is, in PEM. */
export interface TlsIdentity {
  /** Its certificate, and those between it and the authority. */
  readonly certificate: string;
  readonly key: string;
}

/** Oldest version of TLS that is spoken. */
const VERSION_MIN = 'TLSv1.2';

/** The identity as servers take it. */
export function secureContext({ certificate, key }: TlsIdentity): {
  readonly cert: string;
  readonly key: string;
  readonly minVersion: typeof VERSION_MIN;
} {
  return { cert: certificate, key, minVersion: VERSION_MIN };
}

/** What other servers must show. */
export interface TlsPeers {
  /** Authorities whose certificates count, in PEM. Default: those that Node.js knows. */
  readonly ca?: string;
  /** The name that their certificates have, whatever their addresses. Default: the host of the address. */
  readonly servername?: string;
}
