/** Most classes of a label: each costs a row of parameters, a tree in every round, a row and a column of a table. */
export const CLASSES_MAX = 1_000;
