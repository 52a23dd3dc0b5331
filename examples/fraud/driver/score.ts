/** Name of the app's decision, and its outcome at or above the threshold. */
export const DECISION = 'score';
export const REVIEW = 'review';
