/**
 * What is known of a labelled event. Unknown is one of a label with `confirmed` as long as no outcome names it; with other labels
 * an event that no outcome makes positive is negative.
 */
export type Verdict = 'positive' | 'negative' | 'unknown';

/** What an outcome says of the event that it names; `undefined` when it says nothing. */
export type OutcomeVerdict = Exclude<Verdict, 'unknown'> | undefined;
