export { assertCheckNumbers, type CheckResult, checkSubject } from './check.ts';
export { type CaseRow, explain, type FailureCase } from './explain.ts';
export { groupSubject } from './subject.ts';
