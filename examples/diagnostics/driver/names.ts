/** Names in all apps of this example. */
export const CASES = 'cases';
export const FINDINGS = 'findings';
export const MODEL = 'diagnosis';
/** The decision on each case, and its outcome that leaves the case to a person. */
export const TRIAGE = 'triage';
export const REVIEW = 'review';
/** The decision that its first version stays in charge of. */
export const YARDSTICK = 'yardstick';
