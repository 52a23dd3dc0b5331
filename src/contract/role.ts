/**
 * What people and applications are allowed to do; a route names the roles that may call it.
 *
 * - `reader` sees what there is: sources, models, versions, releases, runs, metrics. No record of a single person.
 * - `producer` is an application: it sends events and asks for decisions and recommendations.
 * - `scientist` builds datasets, reads vectors and trains.
 * - `reviewer` answers for decisions that wait for a person, and sees those.
 * - `operator` releases, corrects what is in quarantine and reads single decisions in the ledger.
 * - `admin` may call everything, and alone looks after keys.
 */
export const ROLES = ['reader', 'producer', 'scientist', 'reviewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** Who may call a route: people and applications by role, and `service`: the other services of this deployment. */
export type Caste = Role | 'service';

/** Who makes a call. */
export interface Principal {
  /** `key:<id>`, `jwt:<subject>`, `spiffe://tandem/<service>/<instance>`, or `local` where nobody has to say who he is. */
  readonly subject: string;
  readonly roles: readonly Caste[];
}

/** Whoever calls where no credentials are asked for: `tandem dev` on the loopback. */
export const LOCAL_PRINCIPAL: Principal = Object.freeze({
  subject: 'local',
  roles: Object.freeze(['admin'] as const),
});

/** Whether the principal may call what is open to `allowed`. What says nothing is open to nobody, not even to admins. */
export function mayCall(principal: Principal, allowed: readonly Caste[] | undefined): boolean {
  if (allowed === undefined) return false;
  return principal.roles.some((role) => role === 'admin' || allowed.includes(role));
}
