import { DAY_MS, instant } from '@tandem-examples/driver';

/** Which kind of fraud a transaction is; 0 is none. */
export type Scenario = 0 | 1 | 2 | 3;

/** A card transaction, with the truth about it that nobody knows when it happens. */
export interface Transaction {
  readonly id: number;
  /** Milliseconds since 1970-01-01 UTC, whole seconds. */
  readonly time: number;
  readonly customer: number;
  readonly terminal: number;
  /** Amount in cents. */
  readonly cents: number;
  readonly scenario: Scenario;
}

/** How long after a fraudulent transaction it is reported, in milliseconds. */
export const REPORT_DELAY_MS: number = 6 * DAY_MS;

/** Whether it is fraud. */
export function isFraud(transaction: Transaction): boolean {
  return transaction.scenario !== 0;
}

/** When the report of a fraud arrives, in milliseconds since 1970-01-01 UTC. */
export function reportTime(transaction: Transaction): number {
  return transaction.time + REPORT_DELAY_MS;
}

/** The transaction as a record of the source `transactions`, in JSON. */
export function transactionRecord(transaction: Transaction): string {
  const { id, time, customer, terminal, cents } = transaction;
  return (
    `{"transactionId":"${String(id)}","at":"${instant(time)}","customerId":"${String(customer)}",` +
    `"terminalId":"${String(terminal)}","amount":${amount(cents)}}`
  );
}

/** The report of a fraud as a record of the source `fraud_reports`, in JSON. */
export function reportRecord(transaction: Transaction): string {
  const id = String(transaction.id);
  return `{"reportId":"r${id}","at":"${instant(reportTime(transaction))}","transactionId":"${id}"}`;
}

/** Cents as a decimal number, exactly: 3227 becomes `32.27`. */
export function amount(cents: number): string {
  const rest = String(cents % 100).padStart(2, '0');
  return `${String(Math.floor(cents / 100))}.${rest}`;
}
